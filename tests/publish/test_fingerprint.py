"""Fingerprints: of the secret alone, under a key, and out of nobody's guess."""

import hashlib
import hmac
import secrets
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SettingsError
from service.publish.fingerprint import LEAST_KEY_BYTES, Fingerprinter, personal_key
from service.records import Secret

KEYS = st.binary(min_size=LEAST_KEY_BYTES, max_size=80)


@given(KEYS, st.binary(max_size=200))
def test_equal_secrets_meet_under_one_key_in_every_process(key: bytes, value: bytes) -> None:
    assert Fingerprinter(key).secret(Secret(value)) == Fingerprinter(key).secret(Secret(value))


@given(KEYS, st.binary(max_size=200), st.binary(max_size=200))
def test_different_secrets_differ(key: bytes, one: bytes, other: bytes) -> None:
    fingerprinter = Fingerprinter(key)

    assert (fingerprinter.secret(Secret(one)) == fingerprinter.secret(Secret(other))) is (one == other)


@given(st.binary(max_size=200))
def test_different_keys_differ(value: bytes) -> None:
    one, other = (Fingerprinter(secrets.token_bytes(32)) for _ in range(2))

    assert one.secret(Secret(value)) != other.secret(Secret(value))


@given(KEYS, st.binary(max_size=200))
def test_it_is_an_hmac_with_sha_256_and_no_plain_digest(key: bytes, value: bytes) -> None:
    made = Fingerprinter(key).secret(Secret(value))

    assert made == hmac.digest(key, b"secret\0" + value, "sha256").hex()
    assert made != hashlib.sha256(value).hexdigest()


@given(KEYS, st.binary(max_size=60))
def test_what_was_fingerprinted_before_does_not_matter(key: bytes, value: bytes) -> None:
    fingerprinter = Fingerprinter(key)
    fresh = fingerprinter.secret(Secret(value))
    fingerprinter.secret(Secret(b"another"))
    fingerprinter.alert("topic", 1, 2)

    assert fingerprinter.secret(Secret(value)) == fresh


@pytest.mark.parametrize("length", range(LEAST_KEY_BYTES))
def test_a_short_key_is_refused_without_telling_it(length: int) -> None:
    key = secrets.token_hex(8)[:length]

    with pytest.raises(SettingsError, match=r"fingerprint\.key: at least 16 bytes expected") as error:
        Fingerprinter(key.encode())

    assert len(key) < 4 or key not in str(error.value)


PARTS = st.lists(st.one_of(st.text(st.characters(exclude_characters="\0"), max_size=10), st.integers()), max_size=6)


@given(PARTS, PARTS)
def test_an_alerts_id_is_the_same_for_the_same_parts_alone(one: list[str | int], other: list[str | int]) -> None:
    fingerprinter = Fingerprinter(bytes(32))
    alike = list(map(str, one or [""])) == list(map(str, other or [""]))

    assert (fingerprinter.alert(*one) == fingerprinter.alert(*other)) is alike


def test_an_alerts_id_is_no_fingerprint() -> None:
    fingerprinter = Fingerprinter(bytes(32))

    assert not fingerprinter.secret(Secret(b"same")).startswith(fingerprinter.alert("same"))


def test_a_users_key_is_made_once_and_for_the_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "sluice" / "fingerprint.key"

    first = personal_key(path)

    assert personal_key(path) == first == path.read_bytes()
    assert len(first) >= LEAST_KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_where_nothing_can_be_written_there_is_a_key_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert len(personal_key(tmp_path / "file" / "fingerprint.key")) >= LEAST_KEY_BYTES
