"""Layers of encoding inside a text: base64, hexadecimal, UTF-16, escapes, percent-encoding, base64 of gzip.

Nothing here searches. The engine hit the image of an encoded secret, and here the run around that place is decoded, within
bounds of size, with a way back from every decoded byte to the original bytes.
"""

from __future__ import annotations

import binascii
import re
import zlib
from bisect import bisect_right
from functools import lru_cache
from typing import Final, NamedTuple

from service.records import Span

REACH_BYTES: Final = 65_536
"""A run is decoded so far to the left and to the right of the place of the hit."""

_REMEMBERED: Final = 4
"""Runs that were decoded last: the next hit is most often in the same one."""

MOST_DECOMPRESSED_BYTES: Final = 4 * 1024 * 1024
"""What is taken out of one compressed run; the rest of a bomb stays in it."""

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]+")
_URLSAFE: Final = bytes.maketrans(b"-_", b"+/")
_HEX: Final = re.compile(rb"[0-9a-fA-F]+")
_WIDE: Final = re.compile(rb"(?:[^\0]\0)+")
_ESCAPE: Final = re.compile(rb"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'/bfnrt])|(?=\\))|%(?:25)*([0-9a-fA-F]{2})|\\{2,}")
_PLAIN_BETWEEN: Final = 32
"""So many plain bytes between two escapes belong to one run."""
_BEFORE_BYTES: Final = 2048
"""So much is decoded before the place of a hit among few escapes."""
_DENSE_BLOCK_BYTES: Final = 16_384
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


def _block(at: int, size: int) -> tuple[int, int]:
    """The block of this size that holds a place. All hits of a block are given the same window, which is unwrapped once.

    A window that began and ended so far from each hit would be another one for every hit of a long run, and all of it would
    be decoded and searched as often as something hits in it.
    """
    begin = at - at % size
    return begin, begin + size


def _run(text: bytes, at: int, alphabet: re.Pattern[bytes]) -> tuple[int, int]:
    """The run of letters of an alphabet that holds a place, within its window."""
    begin, end = _block(at, REACH_BYTES)
    begin = max(0, begin - REACH_BYTES)
    starts, ends = _runs(text[begin : end + REACH_BYTES], alphabet, 0)
    index = bisect_right(starts, at - begin) - 1
    if index < 0 or ends[index] < at - begin:
        return at, at
    return begin + starts[index], begin + ends[index]


@lru_cache(_REMEMBERED)
def _runs(window: bytes, piece: re.Pattern[bytes], between: int) -> tuple[list[int], list[int]]:
    """Where runs of pieces begin and end, with so many other bytes between two pieces at most."""
    starts: list[int] = []
    ends: list[int] = []
    for found in piece.finditer(window):
        start, end = found.span()
        if ends and start - ends[-1] <= between:
            ends[-1] = end
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends


def _base64(text: bytes, at: int, phase: int) -> Layer | None:
    left, right = _run(text, at, _BASE64)
    left += (at - left - phase) % 4
    right -= (right - left) % 4 == 1
    return _of_base64(text[left:right], left)


@lru_cache(_REMEMBERED)
def _of_base64(run: bytes, left: int) -> Layer | None:
    whole = Span(left, left + len(run))
    run = run.translate(_URLSAFE)
    try:
        data = binascii.a2b_base64(run + b"=" * (-len(run) % 4))
    except binascii.Error:
        return None
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
    left, right = _run(text, at, _WIDE)
    if left == right:
        return None
    if right < len(text) and text[right] != 0 and right % REACH_BYTES:  # big-endian, and no end of the window: a zero before it
        right += 1
    return Layer("utf-16", text[left:right:2], Span(left, right), ((0, left),), 6)


def _dense_escapes(text: bytes, end: int) -> Layer | None:
    """As far as escape follows upon escape: what is plain between them, and what stands around, is not decoded with them."""
    begin, stop = _block(end, _DENSE_BLOCK_BYTES)
    begin = max(0, begin - _LEAD_BYTES)
    starts, ends = _runs(text[begin : stop + REACH_BYTES], _ESCAPE, _PLAIN_BETWEEN)
    index = bisect_right(starts, end - begin) - 1
    in_run = index >= 0 and ends[index] + _PLAIN_BETWEEN >= end - begin
    first, last = (begin + starts[index], begin + ends[index]) if in_run else (end, end)
    left = max(0, first - _LEAD_BYTES)
    return _of_escapes(text[left : last + _TAIL_BYTES], left)


def _escapes(text: bytes, end: int, reach: int) -> Layer | None:
    reach = min(reach, REACH_BYTES)
    begin, stop = _block(end, reach)
    left = max(0, begin - _BEFORE_BYTES)
    return _of_escapes(text[left : stop + reach], left)


@lru_cache(_REMEMBERED)
def _of_escapes(run: bytes, left: int) -> Layer | None:
    at = 0
    data = bytearray()
    marks = [(0, left)]
    kinds = set()
    for found in _ESCAPE.finditer(run):
        four, two, short, percent = found.groups()
        data += run[at : found.start()]
        marks.append((len(data), left + found.start()))
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
        marks.append((len(data), left + at))
    if not kinds:
        return None
    data += run[at:]
    name = "percent" if kinds == {"percent"} else "unicode-escape"
    return Layer(name, bytes(data), Span(left, left + len(run)), tuple(marks), 3)
