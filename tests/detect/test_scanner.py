"""The two passes: the wire never misses what decoding finds, and how a text is cut changes nothing."""

import base64
import binascii
import gzip
import json
import random
import re
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.detect import expressions
from service.detect import scanner as module
from service.detect.database import Database
from service.detect.scanner import Scanner

NOISE = st.text(alphabet=st.sampled_from("abcXYZ019 _-./=:\"'\\\n\té漢{}[]<>&+%,;"), max_size=60)


def token(rng: random.Random) -> bytes:
    return expressions.sample(expressions.parse("acme_live_[A-Za-z0-9]{32}"), rng)


def found(scanner: Scanner, text: bytes) -> list[tuple[str, bytes, str | None]]:
    return [(c.detector.id, c.secret.reveal(), c.encoding) for c in scanner.candidates(text).found]


def shell_escape(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "hex": binascii.hexlify,
    "utf-16": lambda text: text.decode().encode("utf-16-le"),
    "unicode-escape": lambda text: shell_escape(text.decode()).encode(),
    "base64+gzip": lambda text: base64.b64encode(gzip.compress(text)),
}


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("lead", [b"", b"k", b"k=", b"key=", b'{"token": "'])
@pytest.mark.parametrize("tail", [b"", b"\n", b'"}\n and more'])
def test_an_encoded_token_is_found_where_it_stands(scanner: Scanner, encoding: str, lead: bytes, tail: bytes) -> None:
    rng = random.Random(f"{encoding}{lead!r}{tail!r}")
    secret = token(rng)
    lead = lead and lead + b" "
    encoded = ENCODERS[encoding](lead + secret + tail)
    text = b"data: " + encoded + b"\n"

    candidates = scanner.candidates(text).found

    assert [(c.detector.id, c.secret.reveal(), c.encoding) for c in candidates] == [("acme-token", secret, encoding)]
    place = candidates[0].place
    assert 6 <= place.start < place.end <= 6 + len(encoded)


def test_base64url_and_utf16_big_endian_are_found(scanner: Scanner) -> None:
    secret = token(random.Random(1))

    assert found(scanner, base64.urlsafe_b64encode(b"??>>" + secret))[0][1] == secret
    assert found(scanner, secret.decode().encode("utf-16-be"))[0][1:] == (secret, "utf-16")


def test_encodings_inside_encodings_are_followed_twice(scanner: Scanner) -> None:
    secret = token(random.Random(2))
    inner = base64.b64encode(b"x " + secret)

    assert found(scanner, binascii.hexlify(b"acme_live_" + b"0" * 32 + b" " + inner))[-1][2] == "hex+base64"


def test_a_url_in_percent_encoding_is_found(scanner: Scanner) -> None:
    url = urllib.parse.quote("acme://bob:Tr0ub4dor@db/main", safe="")

    assert found(scanner, f"next={url}".encode()) == [("acme-url", b"Tr0ub4dor", "percent")]


@pytest.mark.parametrize(
    "text",
    [
        b"xacme_live_" + b"aB3" * 10 + b"aB",
        b"acme_live_" + b"aB3" * 10 + b"aBc",
        b"acme_live_" + b"aB3" * 10,
        b"acmecorp " + b"0a" * 17,
        b"acmecorp" + b" " * 50 + b"0a" * 16,
        b"acmecorp " + b"\n" * 13 + b"0a" * 16,
    ],
)
def test_what_is_too_long_too_short_or_too_far_away_is_no_candidate(scanner: Scanner, text: bytes) -> None:
    assert found(scanner, text) == []


@given(NOISE, NOISE, st.integers(0, 2**32), st.sampled_from(["acme-token", "acme-legacy-key", "acme-secret", "acme-url"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_whatever_the_detectors_own_expression_matches_is_hit_on_the_wire_in_every_style_of_escapes(
    scanner: Scanner, lead: str, tail: str, seed: int, wanted: str
) -> None:
    rng = random.Random(seed)
    detector = next(d for d in scanner.database.detectors if d.id == wanted)
    secret = expressions.sample(expressions.parse(detector.expression), rng).decode("latin-1")
    text = f"{lead} {detector.examples[0].replace('{secret}', secret)} {tail}"
    decoded = {c.detector.id for c in scanner.candidates(text.encode()).found if c.encoding is None}

    for style in STYLES:
        wire = style(text).encode()
        hit = {scanner.database.detectors[scanner.database.patterns[p].detector].id for p, _ in scanner.hits(wire)}
        assert decoded <= hit, style


def _escaping(characters: str) -> Callable[[str], str]:
    def write(text: str) -> str:
        plain = json.dumps({"message": text}, ensure_ascii=False)
        return re.sub(f"[{characters}]", lambda m: f"\\u{ord(m[0]):04x}", plain)

    return write


STYLES: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: json.dumps({"message": text}),
    lambda text: json.dumps({"message": text}, ensure_ascii=False),
    lambda text: json.dumps({"message": text}).replace("/", "\\/"),
    _escaping("<>&"),
    _escaping("<>&='+"),
    lambda text: json.dumps({"outer": json.dumps({"message": text})}),
    lambda text: json.dumps({"outer": json.dumps({"message": text}).replace("/", "\\/")}).replace("=", "\\u003d"),
]


@given(st.lists(st.one_of(NOISE, st.just("TOKEN"), st.just("KEY")), max_size=12), st.integers(0, 2**32), st.integers(400, 900))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_cutting_a_text_into_pieces_changes_nothing(
    acme: Database, scanner: Scanner, parts: list[str], seed: int, size: int
) -> None:
    rng = random.Random(seed)
    text = b" ".join(
        token(rng) if part == "TOKEN" else b"acmecorp: %032x" % rng.getrandbits(128) if part == "KEY" else part.encode()
        for part in parts
    )
    whole = scanner.candidates(text).found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE_BYTES", size)
        patch.setattr(module, "OVERLAP_BYTES", 190)
        assert scanner.candidates(text).found == whole


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_it_raise(scanner: Scanner, data: bytes) -> None:
    scanner.candidates(data + b"acme_live_" + data + b"acmecorp\\u00" + data)


@given(st.binary(max_size=200), st.integers(0, 2**32))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_candidate_is_what_the_detectors_expression_matches(scanner: Scanner, data: bytes, seed: int) -> None:
    text = data + b" " + token(random.Random(seed)) + data + b" acmecorp=" + b"%032x" % random.Random(seed).getrandbits(128)

    for candidate in scanner.candidates(text).found:
        assert re.fullmatch(candidate.detector.expression.encode(), candidate.secret.reveal(), re.DOTALL)
        if candidate.encoding is None:
            assert text[candidate.span.start : candidate.span.end] == candidate.secret.reveal()


def test_more_hits_than_are_kept_lose_no_candidate(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_HITS", 10)
    monkeypatch.setattr(module, "OVERLAP_BYTES", 300)
    rng = random.Random(4)
    tokens = [token(rng) for _ in range(200)]

    assert [secret for _, secret, _ in found(scanner, b" ".join(tokens))] == tokens


def test_a_text_with_too_many_candidates_says_so(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CANDIDATES", 5)
    rng = random.Random(5)

    candidates = scanner.candidates(b" ".join(token(rng) for _ in range(9)))

    assert (len(candidates.found), candidates.complete) == (5, False)


def test_what_leads_is_asked_for_in_the_second_pass_alone(scanner: Scanner) -> None:
    secret = b"correct horse"
    alone, led = b"Shop=db1;Phrase=" + secret + b";", b"Store=db1;User=bob;Phrase=" + secret + b";"

    assert scanner.hits(alone)
    assert scanner.hits(led)
    assert found(scanner, alone) == []
    assert found(scanner, led) == [("acme-store-password", secret, None)]
