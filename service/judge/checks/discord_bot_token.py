"""Discord bot tokens: the first part is the user's decimal id in base64."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from service.records import CheckResult

NAME: Final = "discord-bot-token"


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the first part decodes to an id of 17 to 20 digits."""
    head = secret.partition(b".")[0]
    try:
        user = base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        user = b""
    if user.isdigit() and 17 <= len(user) <= 20:
        return CheckResult("passed", "its first part is a user's id", {"discord_user": user.decode()})
    return CheckResult("failed", "its first part is no user's id")


def complete(secret: bytes) -> bytes:
    """The same token with an id in its first part."""
    head, dot, rest = secret.partition(b".")
    digits = str(int.from_bytes(head) % 9 * 10**17 + 123456789012345678)[:18].encode()
    if len(head) > 24:
        digits = (digits + b"98")[: 19 if len(head) < 27 else 20]
    return base64.urlsafe_b64encode(digits).rstrip(b"=") + dot + rest
