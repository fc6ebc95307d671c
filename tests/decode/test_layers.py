"""Encoded runs: each decodes back, each decoded byte knows where it came from, and size is bounded."""

import base64
import binascii
import gzip
import json
import random
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decode.layers import MOST_DECOMPRESSED_BYTES, REACH_BYTES, Layer, unwrap
from service.records import Span

SECRET = b"a word to be found"
AROUND = st.text(alphabet="ab /=+-_\\%\"'\n", max_size=20).map(lambda text: text.encode())


def around(run: bytes, lead: bytes, tail: bytes) -> tuple[bytes, int]:
    """A run with text on both sides that is no part of it, and where it begins."""
    return lead + b" " + run + b"\n" + tail, len(lead) + 1


def original(layer: Layer, wanted: bytes) -> Span:
    at = layer.data.index(wanted)
    return layer.origin(Span(at, at + len(wanted)))


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode], ids=["standard", "url-safe"])
@given(AROUND, AROUND, st.binary(max_size=9), st.binary(max_size=9), st.integers(0, 20))
@settings(deadline=None, max_examples=60)
def test_base64_decodes_back_whichever_character_was_hit(
    encode: Callable[[bytes], bytes], lead: bytes, tail: bytes, before: bytes, after: bytes, hit: int
) -> None:
    data = before + SECRET + after
    run = encode(data)
    text, start = around(run, lead, tail)

    layer = unwrap("base64", text, start + hit + 4, 4, hit % 4)

    assert layer is not None
    assert (layer.name, layer.data) == ("base64", data)
    assert layer.whole == Span(start, start + len(run.rstrip(b"=")))
    begin = len(before)
    assert original(layer, SECRET) == Span(start + begin * 4 // 3, start + -(-(begin + len(SECRET)) * 4 // 3))


@given(AROUND, AROUND, st.binary(max_size=9), st.integers(0, 10), st.booleans())
@settings(deadline=None, max_examples=60)
def test_hexadecimal_decodes_back(lead: bytes, tail: bytes, before: bytes, hit: int, upper: bool) -> None:
    run = binascii.hexlify(before + SECRET)
    text, start = around(run.upper() if upper else run, lead, tail)

    layer = unwrap("hex", text, start + 2 * hit + 8, 8, 0)

    assert layer is not None
    assert (layer.name, layer.data, layer.whole) == ("hex", before + SECRET, Span(start, start + len(run)))
    assert original(layer, SECRET) == Span(start + 2 * len(before), start + len(run))


@pytest.mark.parametrize(("codec", "zero"), [("utf-16-le", 0), ("utf-16-be", 1)])
@given(AROUND, st.integers(0, len(SECRET) - 4))
@settings(deadline=None, max_examples=40)
def test_utf16_decodes_back_in_either_byte_order(codec: str, zero: int, lead: bytes, hit: int) -> None:
    run = SECRET.decode().encode(codec)
    text = lead + b"\n\n" + run + b"\n\n"
    start = len(lead) + 2

    layer = unwrap("utf-16", text, start + zero + 2 * hit + 7, 7, 0)

    assert layer is not None
    assert (layer.name, SECRET in layer.data) == ("utf-16", True)
    span = original(layer, SECRET)
    assert abs(span.start - start) <= 1
    assert abs(span.end - (start + len(run))) <= 1


def unicode_escaped(data: bytes) -> bytes:
    return b"".join(b"\\u%04x" % byte for byte in data)


def doubled(data: bytes) -> bytes:
    return data.replace(b"\\", b"\\\\")


ESCAPES: dict[str, Callable[[bytes], bytes]] = {
    "unicode": unicode_escaped,
    "unicode in a string in a string": lambda data: doubled(unicode_escaped(data)),
    "bytes": lambda data: b"".join(b"\\x%02X" % byte for byte in data),
    "json": lambda data: json.dumps(data.decode()).encode(),
    "json in json": lambda data: json.dumps(json.dumps(data.decode())).encode(),
    "slashes": lambda data: data.replace(b'"', b'\\"').replace(b"/", b"\\/"),
    "percent": lambda data: urllib.parse.quote(data, safe="").encode(),
    "percent twice": lambda data: urllib.parse.quote(urllib.parse.quote(data, safe=""), safe="").encode(),
    "percent with small digits": lambda data: b"".join(b"%%%02x" % byte for byte in data),
}
ESCAPED = b'a/"word"+\t=<to>&be\nfound:x@y'


@pytest.mark.parametrize("style", ESCAPES)
@pytest.mark.parametrize("kind", ["unicode-escape", "plain"])
def test_escapes_near_a_hit_decode_back(style: str, kind: str) -> None:
    run = ESCAPES[style](ESCAPED)
    text, start = around(run, b"before", b"after")

    layer = unwrap(kind, text, start + len(run) // 2, 0, 0)

    assert layer is not None
    assert layer.name == ("percent" if style.startswith("percent") else "unicode-escape")
    assert ESCAPED in layer.data
    span = original(layer, ESCAPED)
    assert start <= span.start < span.end <= start + len(run)
    assert span.end - span.start >= len(run) - 6  # quotes and their escapes may stay outside


def test_text_without_escapes_has_no_layer() -> None:
    assert unwrap("plain", b"nothing here to be decoded", 10, 0, 0) is None


@pytest.mark.parametrize("lead", [b"", b"k", b"key"])
def test_gzip_inside_base64_is_unpacked_and_stands_for_the_whole_run(lead: bytes) -> None:
    run = base64.b64encode(gzip.compress(SECRET * 20))
    text, start = around(run, lead, b"tail")

    layer = unwrap("base64", text, start + 35, 35, 0)

    assert layer is not None
    assert (layer.name, layer.data) == ("base64+gzip", SECRET * 20)
    assert original(layer, SECRET) == layer.whole == Span(start, start + len(run.rstrip(b"=")))


def test_a_bomb_in_base64_is_unpacked_to_the_bound_only() -> None:
    run = base64.b64encode(gzip.compress(SECRET + bytes(4 * MOST_DECOMPRESSED_BYTES)))

    layer = unwrap("base64", run, 35, 35, 0)

    assert layer is not None
    assert layer.data.startswith(SECRET)
    assert len(layer.data) == MOST_DECOMPRESSED_BYTES


def test_a_damaged_gzip_in_base64_is_the_bytes_that_it_is() -> None:
    data = gzip.compress(SECRET)[:10] + b"\xff" * 40

    layer = unwrap("base64", base64.b64encode(data), 35, 35, 0)

    assert layer is not None
    assert (layer.name, layer.data) == ("base64", data)


@pytest.mark.parametrize(
    ("kind", "unit"), [("base64", b"QUJD"), ("hex", b"41"), ("utf-16", b"A\0"), ("plain", b"\\u0041"), ("plain", b"%41")]
)
def test_a_long_run_is_decoded_within_reach_of_the_hit(kind: str, unit: bytes) -> None:
    text = unit * (40 * REACH_BYTES // len(unit))
    at = len(text) // 2 // len(unit) * len(unit)

    layer = unwrap(kind, text, at + 4, 4, 0)

    assert layer is not None
    assert layer.whole.start <= at < layer.whole.end
    assert len(layer.data) <= len(layer.whole) <= 3 * REACH_BYTES


ANYTHING = st.one_of(st.binary(max_size=60), st.text(alphabet='aF0+/=\\u%x25\0\n"H4sI', max_size=60).map(str.encode))


@given(
    st.sampled_from(["base64", "hex", "utf-16", "unicode-escape", "plain"]),
    ANYTHING,
    st.text(alphabet="aF09", min_size=4, max_size=20).map(str.encode),
    ANYTHING,
    st.integers(0, 3),
)
@settings(deadline=None, max_examples=100)
def test_arbitrary_bytes_around_an_image_never_raise_and_places_stay_inside_and_in_order(
    kind: str, lead: bytes, image: bytes, tail: bytes, phase: int
) -> None:
    text = lead + image + tail

    layer = unwrap(kind, text, len(lead) + len(image), len(image), phase)

    if layer is None or not layer.data:
        return
    assert 0 <= layer.whole.start <= layer.whole.end <= len(text)
    at = layer.whole.start
    for index in range(len(layer.data)):
        span = layer.origin(Span(index, index + 1))
        assert at <= span.start <= span.end <= layer.whole.end
        at = span.start


@given(st.lists(st.sampled_from([b"base64", b"hex", b"escapes"]), min_size=1, max_size=3), st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_layers_inside_layers_decode_one_by_one(kinds: list[bytes], seed: int) -> None:
    text = SECRET + random.Random(seed).randbytes(4).hex().encode()
    encoders = {b"base64": base64.b64encode, b"hex": binascii.hexlify, b"escapes": unicode_escaped}
    encoded = text
    for kind in kinds:
        encoded = encoders[kind](encoded)

    for kind in reversed(kinds):
        layer = unwrap("plain", encoded, 8, 0, 0) if kind == b"escapes" else unwrap(kind.decode(), encoded, 8, 8, 0)
        assert layer is not None
        encoded = layer.data

    assert encoded == text
