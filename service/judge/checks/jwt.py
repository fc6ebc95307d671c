"""JSON Web Tokens (RFC 7519): three parts in base64url, of which the first two are JSON."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

from service.records import CheckResult

NAME: Final = "jwt"
_SHOWN: Final = ("iss", "exp", "role", "aud")
_DOCUMENTED: Final = ("1234567890", "John Doe")
"""Subject and name of the token that jwt.io shows, and half of the world's tutorials with it."""


def _part(text: bytes) -> Any:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if header and payload are JSON objects and the header names an algorithm."""
    parts = secret.split(b".")
    if len(parts) not in (3, 5):
        return CheckResult("neutral", "not the three parts of a token")
    header = _part(parts[0])
    if not isinstance(header, dict) or "alg" not in header:
        return CheckResult("failed", "its header is no JSON that names an algorithm")
    if len(parts) == 5:
        return CheckResult("passed", "an encrypted token")
    payload = _part(parts[1])
    if not isinstance(payload, dict):
        return CheckResult("failed", "its payload is no JSON")
    if payload.get("sub") == _DOCUMENTED[0] and payload.get("name") in (None, _DOCUMENTED[1]):
        return CheckResult("placeholder", "the token of the documentation")
    facts = {f"jwt_{key}": str(payload[key])[:120] for key in _SHOWN if isinstance(payload.get(key), str | int)}
    return CheckResult("passed", "header and payload are well-formed", facts)


def complete(secret: bytes) -> bytes:
    """A token of the same lengths whose header and payload are JSON, as far as they have room for it."""
    parts = secret.split(b".")
    if len(parts) != 3:
        return secret
    header = _fitted({"alg": "HS256", "kid": ""}, "kid", parts[0])
    return b".".join((header, _fitted({"iat": 1700000000, "sub": ""}, "sub", parts[1]), parts[2]))


def _fitted(document: dict[str, Any], padded: str, part: bytes) -> bytes:
    """The document in base64url, its padded member grown to the length of the part."""
    room = len(part) * 3 // 4 - len(msgspec.json.encode(document))
    noise = (part.translate(None, b"-_=") * 2).decode("ascii", "replace")
    document[padded] = noise[: max(0, room)]
    return base64.urlsafe_b64encode(msgspec.json.encode(document)).rstrip(b"=")
