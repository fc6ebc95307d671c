"""Azure's identifiable keys: base64 in which a service's signature stands at a fixed place near the end.

Source: Microsoft's security-utilities. The signature itself is part of the detectors' expressions; what is proved here is
that the key decodes to whole bytes.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from service.records import CheckResult

NAME: Final = "azure-identifiable"
_SIZES: Final = (32, 39, 40, 63, 64)


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Neutral if the key decodes to a usual number of bytes, failed if it is no base64."""
    text = secret.rstrip(b"=")
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return CheckResult("neutral", "a signature of Azure's in its place")
    if len(data) in _SIZES:
        return CheckResult("neutral", "a signature of Azure's in its place, and a key's length")
    return CheckResult("neutral", "a signature of Azure's in its place")
