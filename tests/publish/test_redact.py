"""The masked form: what a format fixes, at most the last characters of the rest, and never a whole secret."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import proof
from service.detect import catalogue
from service.judge import evidence
from service.publish.redact import LEAST_HIDDEN, MASK, SHOWN, redact
from service.records import Detector, Secret

TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="*"), max_size=80).map(str.encode)
PREFIX = st.sampled_from([b"", b"ghp_", b"sk_live_", b"x"])


@given(PREFIX, TEXT)
def test_it_discloses_no_more_than_the_rule_permits(prefix: bytes, body: bytes) -> None:
    shown = redact(Secret(prefix + body), prefix)
    head, mask, tail = shown.partition(MASK)

    assert mask == MASK
    assert head in ("", prefix.decode())
    assert tail in ("", body.decode()[-SHOWN:])
    assert not tail or len(body) - SHOWN >= LEAST_HIDDEN


@given(PREFIX, TEXT.filter(bool))
def test_the_variable_part_is_never_shown_whole(prefix: bytes, body: bytes) -> None:
    shown = redact(Secret(prefix + body), prefix)

    assert body not in shown.removeprefix(prefix.decode()).encode()
    assert prefix + body not in shown.encode()


@given(PREFIX, TEXT.filter(lambda body: len(body) < 8))
def test_a_short_secret_discloses_nothing(prefix: bytes, body: bytes) -> None:
    assert redact(Secret(prefix + body), prefix) == MASK


@given(TEXT, TEXT.filter(lambda prefix: len(prefix) > 3))
def test_a_prefix_that_is_not_the_secrets_is_not_shown(secret: bytes, prefix: bytes) -> None:
    if not secret.startswith(prefix):
        assert redact(Secret(secret), prefix) == redact(Secret(secret))


@given(st.binary(max_size=120), st.binary(max_size=20))
def test_no_bytes_make_it_raise(value: bytes, prefix: bytes) -> None:
    assert MASK in redact(Secret(value), prefix)


@given(st.binary(min_size=8, max_size=120))
def test_the_middle_has_no_say_in_it(value: bytes) -> None:
    other = bytes(len(value) - SHOWN) + value[-SHOWN:]

    assert redact(Secret(value)) == redact(Secret(other))


def test_a_token_is_recognised_by_its_ends() -> None:
    rng = random.Random(1)
    body = "".join(rng.choice("abcdefghij0123456789") for _ in range(36))

    assert redact(Secret(b"ghp_" + body.encode()), b"ghp_") == f"ghp_{MASK}{body[-4:]}"


DETECTORS = catalogue.load(catalogue.read(), evidence.names())


@pytest.mark.parametrize("category", sorted({detector.category for detector in DETECTORS}))
def test_of_no_type_in_the_catalogue_more_is_shown_than_all_its_secrets_share_and_the_end(category: str) -> None:
    for detector in (detector for detector in DETECTORS if detector.category == category):
        first, second = (made_up(detector, seed) for seed in (1, 2))
        shown = redact(Secret(first), detector.prefix_of(first)).encode()
        head, _, tail = shown.rpartition(MASK.encode())

        assert len(tail) <= SHOWN
        assert first not in shown
        assert head == b"" or head in detector.prefixes
        assert shown == MASK.encode() or len(first) - len(head) - len(tail) >= 8
        assert second not in shown


def made_up(detector: Detector, seed: int) -> bytes:
    return proof.secret_of(detector, random.Random(f"{seed} {detector.id}"))
