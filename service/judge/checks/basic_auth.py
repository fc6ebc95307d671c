"""Base64 of ``user:password``, as HTTP Basic authentication and Docker's config.json write it (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from service.judge.placeholder import placeholder
from service.records import CheckResult

NAME: Final = "basic-auth"


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the value decodes to printable text with a colon and something behind it."""
    try:
        decoded = base64.b64decode(secret + b"=" * (-len(secret) % 4), validate=True)
    except binascii.Error:
        return CheckResult("failed", "it is not base64")
    user, colon, password = decoded.partition(b":")
    try:
        printable = decoded.decode().isprintable()
    except UnicodeDecodeError:
        printable = False
    if not colon or not printable:
        return CheckResult("failed", "no user name and password in it")
    if placeholder(password) or placeholder(user) or password in (b"", b"password", b"pass"):
        return CheckResult("neutral", "the password is empty or a placeholder")
    return CheckResult("passed", "a user name and a password are encoded in it")


def complete(secret: bytes) -> bytes:
    """Credentials of the same shape: letters and digits behind a user name."""
    letters = bytes(byte for byte in secret if chr(byte).isalnum())
    return base64.b64encode(b"app:" + letters[:24])
