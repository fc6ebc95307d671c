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
_SHORT, _SHORT_SHARE = 16, 0.62
_LONG, _LONG_SHARE = 24, 0.72


def least_share(length: int) -> float:
    """A random string of this length shows more of the entropy that its alphabet allows, 999 times in 1,000.

    Measured on hexadecimal and decimal strings, which vary most, at 16 and 24 characters; a straight line between and below.
    """
    slope = (_LONG_SHARE - _SHORT_SHARE) / (_LONG - _SHORT)
    return max(0.0, min(_LONG_SHARE, _SHORT_SHARE + slope * (length - _SHORT)))


def alphabet(data: bytes) -> int:
    """How many characters the narrowest usual alphabet has that holds all of these."""
    return next((size for expression, size in _ALPHABETS if expression.fullmatch(data)), 72)


def looks_random(data: bytes) -> bool:
    """True if the entropy is at least what a random string of this length and alphabet would show."""
    return shannon(data) >= least_share(len(data)) * math.log2(max(2, min(len(data), alphabet(data))))
