"""What an encoded secret looks like: images of its fixed beginning in base64, hexadecimal, UTF-16 and escapes.

A literal prefix has exactly three images in base64, one for each alignment to the three-byte groups, and one in each of
the other encodings. They go into the same database, so no decoding pass runs over clean traffic. Behind the prefix the
image goes on: the alphabet of the secret's body leaves only some of the 64 characters at each place, which tells encoded
text from random base64 with hardly any prefix at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from service.detect.expressions import ALNUM, Path, char_set

LEAST_FIXED: Final = 3
"""An image is made of a path with at least so many fixed bytes among its first six, ..."""

LEAST_BYTES: Final = 12
"""... at least so many bytes in all, ..."""

LEAST_BITS: Final = 56.0
"""... and so much said by them: random base64 then holds one in a terabyte."""

LONGEST_IMAGE_BYTES: Final = 28
"""Bytes of the plain text that an image covers; more would say no more."""

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
    path = path[:LONGEST_IMAGE_BYTES]
    for alignment in range(3):
        yield _base64(path, alignment)
    yield Image("hex", _joined(_hex_pair(allowed) for allowed in path), 2 * len(path), 0)
    yield Image("utf-16", "\\x00".join(char_set(allowed) for allowed in path), 2 * len(path) - 1, 0)
    yield Image("unicode-escape", "\\x5c+".join(f"u00{_hex_pair(allowed)}" for allowed in path[:8]), 0, 0)


def _joined(parts: Iterator[str]) -> str:
    return "".join(parts)


def _base64(path: Path, alignment: int) -> Image:
    first = -(-8 * alignment // 6)  # the first character that holds none of the unknown bytes before the prefix
    sets: list[frozenset[int]] = []
    char = first
    while (6 * char + 5) // 8 - alignment < len(path):
        low, high = 6 * char // 8 - alignment, (6 * char + 5) // 8 - alignment
        shift = 10 - 6 * char % 8  # of the 16 bits of the two bytes, what stands right of the character's six
        if low == high:
            values = {(byte << 8 >> shift) & 63 for byte in path[low]}
        else:
            heads = {(byte << 8 >> shift) & 63 for byte in path[low]}
            tails = {(byte >> shift) & 63 for byte in path[high]}
            values = {head | tail for head in heads for tail in tails}
        sets.append(frozenset(_STANDARD[value] for value in values) | _urlsafe(values))
        char += 1
    return Image("base64", _joined(char_set(allowed) for allowed in sets), len(sets), first % 4)


def _urlsafe(values: set[int]) -> frozenset[int]:
    return frozenset(b for value, b in ((62, ord("-")), (63, ord("_"))) if value in values)


def _hex_pair(allowed: frozenset[int]) -> str:
    """The two digits of a byte, either case; looser than the set where both digits vary."""
    highs, lows = {byte >> 4 for byte in allowed}, {byte & 15 for byte in allowed}
    return "".join(char_set(frozenset(b for d in digits for b in (b"%x%X" % (d, d)))) for digits in (highs, lows))


BASE64_RUN: Final = ALNUM | frozenset(b"+/-_")
