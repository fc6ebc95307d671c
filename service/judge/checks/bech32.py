"""Bech32 (BIP-173): the last six characters are a BCH code over the human-readable part and the data."""

from __future__ import annotations

from typing import Final

from service.records import CheckResult

NAME: Final = "bech32"
PROVES: Final = True
_ALPHABET: Final = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def _polymod(values: list[int]) -> int:
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                state ^= generator
    return state


def _expanded(part: bytes) -> list[int]:
    return [byte >> 5 for byte in part] + [0] + [byte & 31 for byte in part]


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the checksum is right."""
    part, one, data = secret.lower().rpartition(b"1")
    values = [_ALPHABET.find(byte) for byte in data]
    if not part or secret not in (secret.lower(), secret.upper()):
        return CheckResult("failed", "no human-readable part, or letters of both cases")
    if not one or len(data) < 6 or min(values) < 0:
        return CheckResult("failed", "not the alphabet of Bech32")
    if _polymod(_expanded(part) + values) == 1:
        return CheckResult("passed", "its checksum is right")
    return CheckResult("failed", "its checksum is wrong")


def complete(secret: bytes) -> bytes:
    """The same string with its checksum computed."""
    part, one, data = secret.lower().rpartition(b"1")
    values = [max(0, _ALPHABET.find(byte)) for byte in data[:-6]]
    state = _polymod(_expanded(part) + values + [0] * 6) ^ 1
    whole = part + one + bytes(_ALPHABET[v] for v in values + [state >> 5 * (5 - i) & 31 for i in range(6)])
    return whole.upper() if secret.isupper() else whole
