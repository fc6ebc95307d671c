"""Sentry organisation tokens, ``sntrys_``: base64 of JSON with ``iat``, ``url`` and ``org``, then ``_`` and 43 characters."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from service.records import CheckResult

NAME: Final = "sentry-org-token"
_PREFIX: Final = b"sntrys_"


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the JSON names an organisation."""
    body = secret.removeprefix(_PREFIX).partition(b"_")[0].rstrip(b"=")
    try:
        document = msgspec.json.decode(base64.b64decode(body + b"=" * (-len(body) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return CheckResult("neutral", "a format of its own")
    if isinstance(document, dict) and isinstance(document.get("org"), str):
        facts = {"sentry_organisation": document["org"][:64], "sentry_url": str(document.get("url", ""))[:120]}
        return CheckResult("passed", "it names its organisation", facts)
    return CheckResult("neutral", "a format of its own")
