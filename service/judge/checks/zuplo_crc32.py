"""Zuplo keys, ``zpka_`` + 32 + ``_`` + 8: CRC-32 of the 32 characters, lower-case hex."""

from __future__ import annotations

import zlib
from typing import Final

from service.records import CheckResult

NAME: Final = "zuplo-crc32"
PROVES: Final = True


def _checksum(secret: bytes) -> bytes:
    return b"%08x" % zlib.crc32(secret[5:-9])


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the last characters are the checksum of those before them."""
    expected = _checksum(secret)
    if secret.endswith(expected):
        return CheckResult("passed", "its checksum is right")
    return CheckResult("failed", "its checksum is wrong")


def complete(secret: bytes) -> bytes:
    """The same secret with its checksum computed."""
    return secret[: -len(_checksum(secret))] + _checksum(secret)
