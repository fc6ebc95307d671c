"""Google service accounts: JSON with a PEM private key and the account's address near it."""

from __future__ import annotations

import re
from typing import Final

from service.judge.checks import private_key
from service.records import CheckResult

NAME: Final = "google-service-account"
_ADDRESS: Final = re.compile(rb"[\w.-]{1,64}@[\w.-]{1,64}\.iam\.gserviceaccount\.com")


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """What the private key inside says, with the account's address as a fact."""
    start = secret.find(b"-----BEGIN")
    result = private_key.check(secret[start:] if start >= 0 else secret, before, after)
    address = _ADDRESS.search(secret) or _ADDRESS.search(after) or _ADDRESS.search(before)
    facts = {**result.facts, **({"service_account": address[0].decode()} if address else {})}
    return CheckResult(result.outcome, result.reason, facts)


def complete(secret: bytes) -> bytes:
    """The same document with a key inside that can be one."""
    start = secret.find(b"-----BEGIN")
    end = secret.find(b"-----END")
    if start < 0 or end < start:
        return secret
    stop = secret.find(b"-----", end + 8) + 5
    return secret[:start] + private_key.complete(secret[start:stop]).replace(b"\n", b"\\n") + secret[stop:]
