"""Compressed values: unpacked whole by every codec, never beyond the bound, and damage is told apart from size."""

import contextlib
import gzip
import io
import random
from collections.abc import Callable

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decode import compressed
from service.errors import UndecodableError

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
    "lz4": lambda data: bytes(cramjam.lz4.compress(data)),
    "snappy": lambda data: bytes(cramjam.snappy.compress(data)),
}
TEXT = b"a line of a log, " * 5_000
MAGIC = {kind: pack(TEXT)[:10] for kind, pack in PACK.items()}

REPEATED = st.integers(1, 300_000).map(lambda size: random.Random(size).randbytes(9) * (1 + size // 9))
VALUES = st.one_of(st.binary(min_size=1, max_size=300), REPEATED)

every_codec = pytest.mark.parametrize("kind", PACK)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """A bound that is quickly passed."""
    monkeypatch.setattr(compressed, "MOST_BYTES", 1 << 20)
    return 1 << 20


@every_codec
@given(VALUES)
@settings(deadline=None, max_examples=30)
def test_a_value_comes_back_as_it_was(kind: str, data: bytes) -> None:
    value = PACK[kind](data)

    assert compressed.kind_of(value) == kind
    assert compressed.unpack(value, kind) == data


@pytest.mark.parametrize("value", [b"", b"\x1f", b"\x1f\x8b", b"{}", b"PK\x03\x04", b"plain", b"\xff\x06\x00\x00sNaPp"])
def test_what_is_not_compressed_is_left_alone(value: bytes) -> None:
    assert compressed.kind_of(value) is None


@every_codec
def test_a_bomb_is_refused_with_its_reason(kind: str, small: int) -> None:
    with pytest.raises(UndecodableError) as error:
        compressed.unpack(PACK[kind](bytes(16 * small)), kind)

    assert error.value.reason == "decompression_limit"


@every_codec
@pytest.mark.parametrize("beyond", [0, 1])
def test_the_bound_is_exact(kind: str, small: int, beyond: int) -> None:
    value = PACK[kind](random.Random(1).randbytes(1000) * (small // 1000) + bytes(small % 1000 + beyond))

    if beyond:
        with pytest.raises(UndecodableError):
            compressed.unpack(value, kind)
    else:
        assert len(compressed.unpack(value, kind) or b"") == small


@every_codec
def test_streams_one_behind_the_other_are_one_value(kind: str) -> None:
    assert compressed.unpack(PACK[kind](b"first ") + PACK[kind](b"second"), kind) == b"first second"


@every_codec
def test_many_streams_together_stay_within_the_bound(kind: str, small: int) -> None:
    with pytest.raises(UndecodableError):
        compressed.unpack(PACK[kind](bytes(small // 2)) * 3, kind)


@every_codec
def test_bytes_behind_a_stream_are_not_lost(kind: str) -> None:
    """Either they come with it, or the value counts as damaged and is looked through as it is."""
    unpacked = compressed.unpack(PACK[kind](TEXT) + b" trailing words", kind)

    assert unpacked is None or unpacked.endswith(b" trailing words")


@every_codec
@given(st.data())
@settings(deadline=None, max_examples=40)
def test_a_truncated_stream_gives_what_came_or_counts_as_damaged(kind: str, data: st.DataObject) -> None:
    value = PACK[kind](TEXT)
    cut = value[: data.draw(st.integers(len(MAGIC[kind]), len(value) - 1))]

    unpacked = compressed.unpack(cut, kind)

    assert unpacked is None or TEXT.startswith(unpacked)


@every_codec
@given(st.data())
@settings(deadline=None, max_examples=40)
def test_flipped_bytes_never_raise_anything_but_the_limit(kind: str, data: st.DataObject) -> None:
    value = bytearray(PACK[kind](random.Random(2).randbytes(200) * 3))
    for at in data.draw(st.lists(st.integers(len(MAGIC[kind]), len(value) - 1), min_size=1, max_size=4)):
        value[at] ^= data.draw(st.integers(1, 255))

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(UndecodableError):
        patch.setattr(compressed, "MOST_BYTES", 1 << 20)
        assert len(compressed.unpack(bytes(value), kind) or b"") <= 1 << 20


@every_codec
@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=40)
def test_arbitrary_bytes_behind_the_magic_are_damage_and_not_size(kind: str, data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressed, "MOST_BYTES", 1 << 20)
        try:
            compressed.unpack(MAGIC[kind] + data, kind)
        except UndecodableError as error:
            pytest.fail(f"{error.reason}: {data!r}")


def test_a_gzip_member_with_a_name_in_its_head_is_unpacked() -> None:
    target = io.BytesIO()
    with gzip.GzipFile("app.log", "wb", fileobj=target) as file:
        file.write(TEXT)

    assert compressed.unpack(target.getvalue(), "gzip") == TEXT
