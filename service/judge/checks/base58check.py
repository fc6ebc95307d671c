"""Base58Check: four bytes of a double SHA-256 at the end (Bitcoin's WIF keys, BIP-32 ``xprv``)."""

from __future__ import annotations

import hashlib
from typing import Final

from service.records import CheckResult

NAME: Final = "base58check"
PROVES: Final = True
_ALPHABET: Final = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _decode(text: bytes) -> bytes | None:
    number = 0
    for char in text[:200]:
        digit = _ALPHABET.find(char)
        if digit < 0:
            return None
        number = number * 58 + digit
    return number.to_bytes((number.bit_length() + 7) // 8)


def _encode(data: bytes) -> bytes:
    number = int.from_bytes(data)
    digits = bytearray()
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    return bytes(reversed(digits))


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the checksum is right."""
    data = _decode(secret)
    if data is not None and len(data) > 4 and _checksum(data[:-4]) == data[-4:]:
        return CheckResult("passed", "its checksum is right")
    return CheckResult("failed", "its checksum is wrong")


def complete(secret: bytes) -> bytes:
    """The same string with its checksum put right, which is in the last six characters or so."""
    data = _decode(secret)
    return secret if data is None or len(data) <= 4 else _encode(data[:-4] + _checksum(data[:-4]))
