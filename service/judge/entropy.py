"""How random a secret looks: Shannon entropy against what its alphabet could give."""

from __future__ import annotations

import math
import re
from typing import Final

from service.records import shannon

_ALPHABETS: Final = (
    (re.compile(rb"[0-9]*"), 10),
    (re.compile(rb"[0-9a-f-]*|[0-9A-F-]*"), 16),
    (re.compile(rb"[0-9a-z]*|[0-9A-Z]*"), 36),
    (re.compile(rb"[0-9A-Za-z]*"), 62),
)
LEAST_SHARE: Final = 0.72
"""A random string of the length shows more of the entropy that its alphabet and length allow, 999 times in 1,000."""


def alphabet(data: bytes) -> int:
    """How many characters the narrowest usual alphabet has that holds all of these."""
    return next((size for expression, size in _ALPHABETS if expression.fullmatch(data)), 72)


def looks_random(data: bytes) -> bool:
    """True if the entropy is at least what a random string of this length and alphabet would show."""
    return shannon(data) >= LEAST_SHARE * math.log2(max(2, min(len(data), alphabet(data))))
