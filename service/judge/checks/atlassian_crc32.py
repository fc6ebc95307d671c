"""Atlassian tokens: the last eight characters are the CRC-32 of everything before them, ``=`` included, upper-case hex."""

from __future__ import annotations

import zlib
from typing import Final

from service.records import CheckResult

NAME: Final = "atlassian-crc32"
PROVES: Final = True


def _checksum(secret: bytes) -> bytes:
    return b"%08X" % zlib.crc32(secret[:-8])


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the last characters are the checksum of those before them."""
    expected = _checksum(secret)
    if secret.endswith(expected):
        return CheckResult("passed", "its checksum is right")
    return CheckResult("failed", "its checksum is wrong")


def complete(secret: bytes) -> bytes:
    """The same secret with its checksum computed."""
    return secret[: -len(_checksum(secret))] + _checksum(secret)
