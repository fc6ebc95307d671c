"""What an encoded secret looks like: images of its fixed beginning in base64, hexadecimal, UTF-16 and escapes.

A literal prefix has exactly three images in base64, one for each alignment to the three-byte groups, and one in each of
the other encodings. They go into the same database, so no decoding pass runs over clean traffic. Behind the prefix the
image goes on: the alphabet of the secret's body leaves only some of the 64 characters at each place, which tells encoded
text from random base64 with hardly any prefix at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from service.detect.expressions import ALNUM, Path, char_set, unfolded

LEAST_FIXED: Final = 3
"""An image is made of a path with at least so many fixed bytes among its first six, ..."""

LEAST_BYTES: Final = 12
"""... at least so many bytes in all, ..."""

LEAST_BITS: Final = 56.0
"""... and so much said by them: random base64 then holds one in a terabyte."""

ENOUGH_BYTES: Final = 8
"""An image ends behind so many bytes, ..."""

ENOUGH_BITS: Final = 40.0
"""... where so much is said: the rest is looked at when it is decoded, and takes the engine long to compile."""

UNICODE_ESCAPES: Final = r"(?:\x5c+u00[2-7][0-9a-fA-F]){8}"
"""Eight escaped characters of ASCII in a row: no writer does that to ordinary text, so one expression serves all secrets."""

_STANDARD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class Image(NamedTuple):
    """An encoded form of a path.

    ``kind`` names the encoding; ``expression`` matches exactly ``length`` bytes, in which the encoded text stands at
    ``phase`` within its group (base64: of four characters; otherwise 0).
    """

    kind: str
    expression: str
    length: int
    phase: int


def images(path: Path) -> Iterator[Image]:
    """Every encoded form of the beginning of a path; none where too little of it is fixed."""
    fixed = sum(len(allowed) <= 2 for allowed in path[:6])
    bits = sum(8 - math.log2(max(1, len(allowed))) for allowed in path)
    if fixed < LEAST_FIXED or len(path) < LEAST_BYTES or bits < LEAST_BITS:
        return
    path = tuple(map(_lower, path[: _enough(path)]))
    for alignment in range(3):
        yield _base64(path, alignment)
    # either case by itself: of letters in both the engine would take any for a digit
    for digits in dict.fromkeys(_joined(_hex_pair(allowed, of) for allowed in path) for of in ("%x", "%X")):
        yield Image("hex", digits, 2 * len(path), 0)
    yield Image("utf-16", "\\x00".join(char_set(allowed) for allowed in path), 2 * len(path) - 1, 0)


def _enough(path: Path) -> int:
    """How many bytes of a path an image covers."""
    said = 0.0
    for length, allowed in enumerate(path, 1):
        said += 8 - math.log2(max(1, len(allowed)))
        if length >= ENOUGH_BYTES and said >= ENOUGH_BITS:
            return length
    return len(path)


def _joined(parts: Iterator[str]) -> str:
    return "".join(parts)


def _base64(path: Path, alignment: int) -> Image:
    first = -(-8 * alignment // 6)  # the first character that holds none of the unknown bytes before the prefix
    sets: list[str] = []
    char = first
    while (6 * char + 5) // 8 - alignment < len(path):
        low, high = 6 * char // 8 - alignment, (6 * char + 5) // 8 - alignment
        sets.append(_base64_char(path[low], path[high] if high != low else None, 10 - 6 * char % 8))
        char += 1
    return Image("base64", _joined(iter(sets)), len(sets), first % 4)


@lru_cache(maxsize=65_536)
def _base64_char(low: frozenset[int], high: frozenset[int] | None, shift: int) -> str:
    """The characters of base64 that stand for six bits of one byte, or of two; ``shift``: what stands right of the six."""
    values = {(byte << 8 >> shift) & 63 for byte in low}
    if high is not None:
        tails = {(byte >> shift) & 63 for byte in high}
        values = {head | tail for head in values for tail in tails}
    return char_set(frozenset(_STANDARD[value] for value in values) | _urlsafe(values))


def _urlsafe(values: set[int]) -> frozenset[int]:
    return frozenset(b for value, b in ((62, ord("-")), (63, ord("_"))) if value in values)


@lru_cache(maxsize=8192)
def _hex_pair(allowed: frozenset[int], form: str) -> str:
    """The two digits of a byte, looser than the set where both digits vary."""
    highs, lows = {byte >> 4 for byte in allowed}, {byte & 15 for byte in allowed}
    return "".join(char_set(frozenset(b for d in digits for b in (form % d).encode())) for digits in (highs, lows))


def _lower(allowed: frozenset[int]) -> frozenset[int]:
    """A letter that is looked for in either case as the small one: so words that are encoded are nearly always written."""
    small = unfolded(allowed)
    return small if len(small) < len(allowed) == 2 else allowed


BASE64_RUN: Final = ALNUM | frozenset(b"+/-_")
