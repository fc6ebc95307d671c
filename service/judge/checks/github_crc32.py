"""Tokens whose last six characters are the CRC-32 of the thirty before them in base62: GitHub's and npm's.

Source: GitHub's description of its token formats (2021); the digits are ``0-9A-Za-z``, padded with ``0`` on the left.
"""

from __future__ import annotations

import zlib
from typing import Final

from service.records import CheckResult

NAME: Final = "github-crc32"
PROVES: Final = True
DIGITS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY: Final = 30
_CHECK: Final = 6


def base62(number: int, width: int = _CHECK) -> bytes:
    """A number in base62, padded to the width."""
    digits = bytearray()
    while number:
        number, digit = divmod(number, 62)
        digits.append(DIGITS[digit])
    return bytes(reversed(digits)).rjust(width, b"0")


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the checksum is right; neutral for tokens of another shape, such as the newer, longer ones."""
    prefix, _, rest = secret.rpartition(b"_")
    if not prefix or len(rest) != _BODY + _CHECK:
        return CheckResult("neutral", "a shape without this checksum")
    if base62(zlib.crc32(rest[:_BODY])) == rest[_BODY:]:
        return CheckResult("passed", "its checksum is right")
    return CheckResult("failed", "its checksum is wrong")


def complete(secret: bytes) -> bytes:
    """The same token with its checksum computed."""
    prefix, mark, rest = secret.rpartition(b"_")
    if len(rest) != _BODY + _CHECK:
        return secret
    return prefix + mark + rest[:_BODY] + base62(zlib.crc32(rest[:_BODY]))
