"""AWS access key ids hold the number of their account.

The sixteen characters behind the four of the prefix are base32; bits 7 to 46 of the first six bytes are the account.
Source: Aidan Steele, "AWS Access Key ID formats" (2020), and Tal Be'ery, "A short note on AWS KEY ID" (2023).
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from service.records import CheckResult

NAME: Final = "aws-account-id"
_MASK: Final = 0x7FFFFFFFFF80


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Neutral, with the account's number as a fact; placeholder for the ids of AWS's own documentation."""
    if b"EXAMPLE" in secret:
        return CheckResult("placeholder", "an id of AWS's documentation")
    try:
        number = int.from_bytes(base64.b32decode(secret[4:20])[:6])
    except (binascii.Error, ValueError):
        return CheckResult("neutral", "an older id, which names no account")
    account = (number & _MASK) >> 7
    return CheckResult("neutral", "a format of its own", {"aws_account": f"{account:012d}"})
