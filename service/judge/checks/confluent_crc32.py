"""Confluent Cloud secrets, ``cflt`` + 54 + 6: the end is base64 of the little-endian CRC-32 of the 54 characters."""

from __future__ import annotations

import base64
import zlib
from typing import Final

from service.records import CheckResult

NAME: Final = "confluent-crc32"
PROVES: Final = True


def _checksum(secret: bytes) -> bytes:
    return base64.b64encode(zlib.crc32(secret[4:-6]).to_bytes(4, "little")).rstrip(b"=")


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the end is the checksum of what stands between it and the prefix."""
    if secret.endswith(_checksum(secret)):
        return CheckResult("passed", "its checksum is right")
    return CheckResult("failed", "its checksum is wrong")


def complete(secret: bytes) -> bytes:
    """The same secret with its checksum computed."""
    return secret[:-6] + _checksum(secret)
