"""Grafana Cloud tokens, ``glc_``: base64 of JSON with the keys ``o`` (organisation), ``n`` (name), ``k`` (key), ``m``."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from service.records import CheckResult

NAME: Final = "grafana-cloud-json"
_PREFIX: Final = b"glc_"


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the JSON names an organisation and a key."""
    body = secret.removeprefix(_PREFIX).rstrip(b"=")
    try:
        document = msgspec.json.decode(base64.b64decode(body + b"=" * (-len(body) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return CheckResult("neutral", "a format of its own")
    if isinstance(document, dict) and "o" in document and "k" in document:
        return CheckResult("passed", "it names its organisation", {"grafana_organisation": str(document["o"])[:32]})
    return CheckResult("neutral", "a format of its own")
