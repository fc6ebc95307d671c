"""Values that were compressed before they became records: gzip, zstd, LZ4 frames, framed Snappy; bounded."""

from __future__ import annotations

import zlib
from typing import Final

import cramjam

from service.errors import UndecodableError

MOST_BYTES: Final = 64 * 1024 * 1024
"""What a value may unpack to; more is a bomb or a mistake, and goes to the dead letters."""

_MAGIC: Final = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
}


def kind_of(value: bytes) -> str | None:
    """The compression that a value begins with; None if it is not compressed."""
    return next((name for magic, name in _MAGIC.items() if value.startswith(magic)), None)


def unpack(value: bytes, kind: str) -> bytes | None:
    """The value unpacked; None if it is damaged.

    Raises:
        UndecodableError: it unpacks to more than :data:`MOST_BYTES`.
    """
    if kind == "gzip":
        return _gzip(value)
    codec = getattr(cramjam, kind)
    room = max(1 << 16, 16 * len(value))
    while True:
        room = min(room, MOST_BYTES)
        target = bytearray(room)
        try:
            return bytes(memoryview(target)[: codec.decompress_into(value, target)])
        except (cramjam.DecompressionError, ValueError) as error:
            if "write whole buffer" not in str(error):
                return None
            if room >= MOST_BYTES:
                raise UndecodableError("decompression_limit") from error
            room *= 16


def _gzip(value: bytes) -> bytes | None:
    """All members one behind the other; what stands behind the last is text of its own."""
    data = bytearray()
    while value.startswith(b"\x1f\x8b\x08"):
        inflater = zlib.decompressobj(wbits=31)
        try:
            data += inflater.decompress(value, MOST_BYTES - len(data) + 1)
        except zlib.error:
            return None
        if len(data) > MOST_BYTES:
            raise UndecodableError("decompression_limit")
        value = inflater.unused_data
    return bytes(data + value)
