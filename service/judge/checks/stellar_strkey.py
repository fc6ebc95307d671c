"""Stellar secret seeds: base32 of a version byte (0x90), 32 bytes, and CRC-16/XMODEM (SEP-23)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from service.records import CheckResult

NAME: Final = "stellar-strkey"
PROVES: Final = True
_SEED: Final = b"\x90"


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if version and checksum are right."""
    try:
        data = base64.b32decode(secret)
    except (binascii.Error, ValueError):
        return CheckResult("failed", "it is not base32")
    if data[:1] == _SEED and binascii.crc_hqx(data[:-2], 0).to_bytes(2, "little") == data[-2:]:
        return CheckResult("passed", "its checksum is right")
    return CheckResult("failed", "its checksum is wrong")


def complete(secret: bytes) -> bytes:
    """A seed with its checksum."""
    data = _SEED + hashlib.sha256(secret).digest()
    return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little"))
