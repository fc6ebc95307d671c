"""GitLab's routable tokens: prefix, payload, ``.``, the payload's length in two digits of base 36, seven of CRC-32.

Source: GitLab's token format. The checksum covers everything before it. Older tokens have no checksum at all.
"""

from __future__ import annotations

import zlib
from typing import Final

from service.records import CheckResult

NAME: Final = "gitlab-routable"
PROVES: Final = True
_DIGITS: Final = b"0123456789abcdefghijklmnopqrstuvwxyz"


def _base36(number: int, width: int) -> bytes:
    digits = bytearray()
    while number:
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return bytes(reversed(digits)).rjust(width, b"0")


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the checksum is right; neutral for tokens of the older form."""
    end = secret.rpartition(b".")[2]
    if b"." not in secret or len(end) != 9:
        return CheckResult("neutral", "the older form, which has no checksum")
    if _base36(zlib.crc32(secret[:-7]), 7) == secret[-7:]:
        return CheckResult("passed", "its checksum is right")
    return CheckResult("failed", "its checksum is wrong")


def complete(secret: bytes) -> bytes:
    """The same token with its checksum computed."""
    if b"." not in secret or len(secret.rpartition(b".")[2]) != 9:
        return secret
    return secret[:-7] + _base36(zlib.crc32(secret[:-7]), 7)
