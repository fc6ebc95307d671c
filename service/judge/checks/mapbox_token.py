"""Mapbox tokens: the second part is base64url JSON that names the user; only ``sk.`` ones are secret."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from service.records import CheckResult

NAME: Final = "mapbox-token"


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the second part names a user."""
    part = secret.partition(b".")[2].partition(b".")[0]
    try:
        document = msgspec.json.decode(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return CheckResult("failed", "its second part is no JSON")
    if isinstance(document, dict) and isinstance(document.get("u"), str):
        return CheckResult("passed", "it names its user", {"mapbox_user": document["u"][:64]})
    return CheckResult("failed", "it names no user")


def complete(secret: bytes) -> bytes:
    """The same token with JSON in its second part."""
    head, _, rest = secret.partition(b".")
    tail = rest.rpartition(b".")[2]
    body = base64.urlsafe_b64encode(msgspec.json.encode({"u": "user", "a": rest[:24].decode("ascii", "replace")}))
    return head + b"." + body.rstrip(b"=") + b"." + tail
