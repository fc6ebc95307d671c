"""Private keys of Ethereum and others: 32 bytes in hex, above zero and below the order of the group secp256k1 (SEC 2)."""

from __future__ import annotations

from typing import Final

from service.records import CheckResult

NAME: Final = "secp256k1"
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Failed if it cannot be a key; otherwise neutral, since nearly every such number is one."""
    try:
        number = int(secret.removeprefix(b"0x"), 16)
    except ValueError:
        return CheckResult("failed", "no number in hex")
    if 0 < number < _ORDER:
        return CheckResult("neutral", "a possible key of the curve")
    return CheckResult("failed", "outside the order of the curve")
