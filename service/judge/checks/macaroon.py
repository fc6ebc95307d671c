"""Macaroons of version 2, as PyPI (``pypi-``) and Fly.io (``fm2_``) hand them out.

Source: libmacaroons' binary format 2: a byte 2, then fields of type, length and content.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from service.records import CheckResult

NAME: Final = "macaroon"
_LOCATION: Final = 1


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if it begins as a macaroon that names a location; neutral for other forms."""
    body = secret.rpartition(b"pypi-")[2] if b"pypi-" in secret else secret.rpartition(b"fm2_")[2]
    try:
        data = base64.urlsafe_b64decode(body[: len(body) // 4 * 4])
    except (binascii.Error, ValueError):
        return CheckResult("neutral", "not base64")
    if len(data) > 3 and data[:2] == bytes((2, _LOCATION)) and len(data) > 3 + data[2]:
        location = data[3 : 3 + data[2]]
        if location.isascii() and location.decode().isprintable():
            return CheckResult("passed", "a macaroon", {"issuer": location.decode()})
    return CheckResult("neutral", "a format of its own")
