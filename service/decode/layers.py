"""Layers of encoding inside a text: base64, hexadecimal, UTF-16, escapes, percent-encoding, base64 of gzip.

Nothing here searches. The engine hit the image of an encoded secret, and here the run around that place is decoded, within
bounds of size, with a way back from every decoded byte to the original bytes.
"""

from __future__ import annotations

import binascii
import re
import zlib
from bisect import bisect_right
from typing import Final, NamedTuple

from service.records import Span

REACH_BYTES: Final = 65_536
"""A run is decoded so far to the left and to the right of the place of the hit."""

MOST_DECOMPRESSED_BYTES: Final = 4 * 1024 * 1024
"""What is taken out of one compressed run; the rest of a bomb stays in it."""

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_URLSAFE: Final = bytes.maketrans(b"-_", b"+/")
_HEX: Final = b"0123456789abcdefABCDEF"
_WIDE: Final = re.compile(rb"(?:[^\0]\0)+")
_ESCAPE: Final = re.compile(rb"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'/bfnrt])|(?=\\))|%(?:25)*([0-9a-fA-F]{2})|\\{2,}")
_RUN_OF_ESCAPES: Final = re.compile(rb"(?s:[^\\%]{0,32}(?:\\+(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)|%[0-9a-fA-F]{2}))*")
_LEAD_BYTES: Final = 1024
_TAIL_BYTES: Final = 128
"""So much is decoded before a run of escapes, where a keyword may stand, and behind it, where the secret may go on."""

_SHORT: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


class Layer(NamedTuple):
    """A decoded run.

    ``marks`` are pairs (byte of ``data``, byte of the text it was taken from), rising; between two marks ``ratio`` original
    bytes stand for three decoded ones. The run itself is ``whole``.
    """

    name: str
    data: bytes
    whole: Span
    marks: tuple[tuple[int, int], ...]
    ratio: int

    def origin(self, span: Span) -> Span:
        """Where a span of ``data`` stands in the text that was decoded."""
        if not self.ratio:
            return self.whole
        return Span(self._origin(span.start, 0), min(self._origin(span.end, 2), self.whole.end))

    def _origin(self, at: int, up: int) -> int:
        index = bisect_right(self.marks, (at, 1 << 62)) - 1
        decoded, original = self.marks[index]
        return original + ((at - decoded) * self.ratio + up) // 3


def unwrap(kind: str, text: bytes, end: int, length: int, phase: int) -> Layer | None:
    """Decodes the run around a hit.

    Args:
        kind: ``base64``, ``hex``, ``utf-16``, or ``unicode-escape`` and ``plain`` for whatever escapes stand near.
        text: where the hit was.
        end: where the hit ended.
        length: how many bytes before ``end`` the image began, 0 if that is not fixed; for ``plain`` how far behind ``end``
            to decode, 0 for as far as there is.
        phase: base64: which character of its group of four the image begins with.

    Returns:
        None where there is nothing to decode.
    """
    match kind:
        case "base64":
            return _base64(text, end - length, phase)
        case "hex":
            return _hex(text, end - length)
        case "utf-16":
            return _utf16(text, end - length)
        case _:
            return _escapes(text, end, length) if length else _dense_escapes(text, end)


def _run(text: bytes, at: int, alphabet: bytes) -> tuple[int, int]:
    left = text[max(0, at - REACH_BYTES) : at]
    right = text[at : at + REACH_BYTES]
    return at - (len(left) - len(left.rstrip(alphabet))), at + len(right) - len(right.lstrip(alphabet))


def _base64(text: bytes, at: int, phase: int) -> Layer | None:
    left, right = _run(text, at, _BASE64)
    left += (at - left - phase) % 4
    right -= (right - left) % 4 == 1
    run = text[left:right].translate(_URLSAFE)
    try:
        data = binascii.a2b_base64(run + b"=" * (-len(run) % 4))
    except binascii.Error:
        return None
    whole = Span(left, right)
    if data.startswith(b"\x1f\x8b\x08") and (inflated := _inflate(data)):
        return Layer("base64+gzip", inflated, whole, ((0, left),), 0)
    return Layer("base64", data, whole, ((0, left),), 4)


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(data, MOST_DECOMPRESSED_BYTES)
    except zlib.error:
        return b""


def _hex(text: bytes, at: int) -> Layer | None:
    left, right = _run(text, at, _HEX)
    left += (at - left) % 2
    right -= (right - left) % 2
    return Layer("hex", binascii.unhexlify(text[left:right]), Span(left, right), ((0, left),), 6)


def _utf16(text: bytes, at: int) -> Layer | None:
    left = at
    while left >= 2 and at - left < 1024 and text[left - 1] == 0 and text[left - 2] != 0:
        left -= 2
    found = _WIDE.match(text, left, at + 2 * REACH_BYTES)
    if found is None:
        return None
    right = found.end()
    if right < len(text) and text[right] != 0:  # big-endian: the last character has its zero before it
        right += 1
    return Layer("utf-16", text[left:right:2], Span(left, right), ((0, left),), 6)


def _dense_escapes(text: bytes, end: int) -> Layer | None:
    """As far as escape follows upon escape: what is plain between them, and what stands around, is not decoded with them."""
    left = max(0, end - _LEAD_BYTES)
    found = _RUN_OF_ESCAPES.match(text, end, end + REACH_BYTES)
    return _between(text, left, min(len(text), (found.end() if found else end) + _TAIL_BYTES))


def _escapes(text: bytes, end: int, reach: int) -> Layer | None:
    return _between(text, max(0, end - min(4096, reach)), min(len(text), end + min(reach, REACH_BYTES)))


def _between(text: bytes, left: int, right: int) -> Layer | None:
    data = bytearray()
    marks = [(0, left)]
    at = left
    kinds = set()
    for found in _ESCAPE.finditer(text, left, right):
        four, two, short, percent = found.groups()
        data += text[at : found.start()]
        marks.append((len(data), found.start()))
        if four or two or percent:
            data += (
                chr(int(four or two or percent, 16)).encode("utf-8", "surrogatepass")
                if four
                else bytes.fromhex((two or percent).decode())
            )
            kinds.add("percent" if percent else "unicode-escape")
        elif short:
            data += _SHORT.get(short, short)
            kinds.add("unicode-escape")
        else:
            data += b"\\"
            kinds.add("unicode-escape")
        at = found.end()
        marks.append((len(data), at))
    if not kinds:
        return None
    data += text[at:right]
    name = "percent" if kinds == {"percent"} else "unicode-escape"
    return Layer(name, bytes(data), Span(left, right), tuple(marks), 3)
