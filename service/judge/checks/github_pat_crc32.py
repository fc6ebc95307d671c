"""GitHub's fine-grained tokens, ``github_pat_`` + 22 + ``_`` + 59: six characters of CRC-32 at the end, in base62.

What the checksum covers is told in two ways; one that fits either is right.
"""

from __future__ import annotations

import zlib
from typing import Final

from service.judge.checks.github_crc32 import base62
from service.records import CheckResult

NAME: Final = "github-pat-crc32"
PROVES: Final = True
_PREFIX: Final = b"github_pat_"


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the checksum is right, over what follows the prefix or over the last part."""
    body = secret.removeprefix(_PREFIX)
    covered = (body[:-6], body.rpartition(b"_")[2][:-6])
    if secret[-6:] in [base62(zlib.crc32(part)) for part in covered]:
        return CheckResult("passed", "its checksum is right")
    return CheckResult("failed", "its checksum is wrong")


def complete(secret: bytes) -> bytes:
    """The same token with its checksum computed."""
    return secret[:-6] + base62(zlib.crc32(secret.rpartition(b"_")[2][:-6]))
