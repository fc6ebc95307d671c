"""Nobody's secrets: masks, template slots, documentation words, keyboard walks."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = re.compile(
    rb"example|placeholder|change[_\-.]?(?:me|it|this)|replace[_\-.]?(?:me|with|this)|redacted|dummy|fake[_\-]?|sample"
    rb"|your[_\-.]|[_\-]here\b|insert[_\-]|<[a-z][^<>]*>|todo|removed|masked|hidden|not[_\-]?(?:a|real|used|set)[_\-]"
    rb"|my[_\-](?:secret|token|key|api|pass)|foobar|foo[_\-]bar|deadbeef|test[_\-](?:key|token|secret|pass)|lorem|undefined",
    re.IGNORECASE,
)
_MASK: Final = re.compile(rb"([xX*.#?_\-])\1{5,}|\.\.\.$|\*{3}|xxxx")
_RUN: Final = re.compile(rb"(.)\1{7,}", re.DOTALL)
_TEMPLATE: Final = re.compile(
    rb"^\$[A-Za-z_]|\$\{|\$\(|\{\{|\}\}|^<[^>]*>$|^%[sdv(]|%\([A-Za-z_]\w*\)[sd]|^\{[A-Za-z_][\w.]*\}$|#\{|^@[A-Za-z_{][\w.]*[})]?$|\bprocess\.env\b|\bos\.environ|\bgetenv\b"
)
_SEQUENCES: Final = (
    b"abcdefghijklmnopqrstuvwxyz",
    b"zyxwvutsrqponmlkjihgfedcba",
    b"01234567890123456789",
    b"98765432109876543210",
    b"qwertyuiopasdfghjklzxcvbnm",
)


MOST_READ: Final = 512
"""So many characters say whether a value is a placeholder; a whole key file need not be read for it."""


def placeholder(body: bytes) -> str | None:
    """Why the variable part of a secret cannot be anybody's, in a clause; None if nothing says so."""
    body = body[:MOST_READ]
    if _TEMPLATE.search(body):
        return "a template slot"
    if _WORDS.search(body):
        return "a word that documentation puts in a secret's place"
    if _MASK.search(body):
        return "masked characters"
    run = _RUN.search(body)
    if run and 2 * len(run[0]) >= len(body):
        return "one character repeated"
    if len(body) >= 8 and len(set(body)) <= 2:
        return "hardly any different characters"
    return None


_STEPS: Final = 5
_LONG_WALK: Final = 9
"""So many steps along the alphabet in one go are nobody's chance: the odds are one in a million million."""


def _walks(steps: int) -> frozenset[bytes]:
    return frozenset(line[at : at + steps] for line in _SEQUENCES for at in range(len(line) - steps + 1))


_WALKS: Final = _walks(_STEPS)
_LONG_WALKS: Final = _walks(_LONG_WALK)


def walks_far(body: bytes) -> bool:
    """True if a part of the body goes so far along the alphabet, the digits or a keyboard that nobody drew it."""
    lower = body[:MOST_READ].lower()
    return any(lower[at : at + _LONG_WALK] in _LONG_WALKS for at in range(len(lower) - _LONG_WALK + 1))


def sequential_share(body: bytes) -> float:
    """The share of the body, 0 to 1, that walks along the alphabet, the digits or a keyboard, five steps at least."""
    lower = body = body[:MOST_READ].lower()
    walked = reached = 0
    for at in range(len(lower) - _STEPS + 1):
        if lower[at : at + _STEPS] in _WALKS:
            walked += at + _STEPS - max(at, reached)
            reached = at + _STEPS
    return walked / len(body) if body else 0.0
