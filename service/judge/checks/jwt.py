"""JSON Web Tokens (RFC 7519): three parts in base64url, of which the first two are JSON."""

from __future__ import annotations

import base64
import binascii
import datetime
import time
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
    if payload.get("role") == "anon" and payload.get("iss") == "supabase":
        return CheckResult("neutral", "Supabase's anonymous role, which is public by design", facts)
    ended = _ended(payload.get("exp"), time.time())
    if ended:
        return CheckResult("passed", f"well-formed, and expired on {ended}", {**facts, "jwt_expired": ended})
    return CheckResult("passed", "header and payload are well-formed", facts)


def _ended(expiry: object, now: float) -> str | None:
    """The day on which a token ended; None if it did not, or does not say."""
    if not isinstance(expiry, int | float) or not 0 < expiry < now:
        return None
    return datetime.datetime.fromtimestamp(expiry, datetime.UTC).date().isoformat()


def complete(secret: bytes) -> bytes:
    """A token of the same lengths whose header and payload are JSON, and begin as they did where that was JSON."""
    parts = secret.split(b".")
    if len(parts) != 3:
        return secret
    return b".".join((_grown(parts[0], '"alg":"HS256","kid":"'), _grown(parts[1], '"iat":1700000000,"sub":"'), parts[2]))


def _grown(part: bytes, members: str) -> bytes:
    """As much of the part as can begin a JSON object, and these members after it, in base64url of the same length."""
    begun = base64.urlsafe_b64decode(part + b"A" * (-len(part) % 4))
    size = len(part) * 3 // 4
    noise = part.translate(None, b"-_=") * 2
    for kept in range(size, 0, -1):
        for join in (b",", b"", b'":"",'):
            start = begun[:kept] + join + members.encode()
            room = size - len(start) - 2
            document = start + noise[: max(0, room)] + b'"}'
            try:
                msgspec.json.decode(document)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if room >= 0 or kept == 1:
                return base64.urlsafe_b64encode(document).rstrip(b"=")
    return part
