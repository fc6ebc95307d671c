"""Nobody's secrets: masks, template slots, documentation words, keyboard walks.

Two grades. A *slot* is certain: a template's, or characters put in the place of a secret; what stands there is no secret at
all. A *doubt* is a value that somebody may have made up to show something, or chosen badly: it has the form of a secret and
hardly its substance.
"""

from __future__ import annotations

import itertools
import re
from typing import Final

_SLOT_WORDS: Final = re.compile(
    rb"placeholder|replace[_\-.]?(?:me|with|this)|redacted|(?:^|[^A-Za-z])your[_\-. ]?(?=[A-Za-z])|[_\-]here\b|insert[_\-]"
    rb"|<[a-z][^<>]*>|todo|masked|(?:^|[^A-Za-z])(?:removed|hidden)(?![A-Za-z])|not[_\-]?(?:a|real|used|set)[_\-]"
    rb"|put[_\-](?:your|the|a)[_\-]|enter[_\-](?:your|the|a)[_\-]",
    re.IGNORECASE,
)
_WORDS: Final = re.compile(
    rb"example|change[_\-.]?(?:me|it|this)|dummy|fake|sample|my[_\-](?:secret|token|key|api|pass)|foobar|foo[_\-]bar"
    rb"|deadbeef|test[_\-](?:key|token|secret|pass)|lorem|undefined|abc123|hunter2",
    re.IGNORECASE,
)
_MASK: Final = re.compile(rb"([xX*.#?_\-\xe2\x80\xa2])\1{5,}|\.\.\.$|\*{3}|xxxx|\xe2\x80\xa6|\[\.\.\.\]")
_RUN: Final = re.compile(rb"(.)\1{7,}", re.DOTALL)
_TEMPLATE: Final = re.compile(
    rb"^\$[A-Za-z_]|\$\{[A-Za-z_][^{}]{0,80}\}|^\$\{|\$\(|\{\{.*\}\}|^\{\{|^\{%|\}\}$|^<[^>]*>$|^%[sdvq]\b|^%\d?\$?[sdvq]$|^%[A-Za-z_]\w*%$"
    rb"|%\([A-Za-z_]\w*\)[sd]|^\{[A-Za-z_.]+\d{0,2}\}$|^\{\d?\}$|#\{|^@[A-Za-z_{][\w.]*[})]?$|^\[[A-Z][\w -]*\]$"
    rb"|\bprocess\.env\b|\bos\.environ|\bgetenv\b|^__[A-Za-z_]+__$",
    re.DOTALL,
)
_SEQUENCES: Final = (
    b"abcdefghijklmnopqrstuvwxyz",
    b"zyxwvutsrqponmlkjihgfedcba",
    b"01234567890123456789",
    b"98765432109876543210",
    b"qwertyuiopasdfghjklzxcvbnm",
)


SLOT_WORD: Final = "a word that documentation puts in a secret's place"
WORD: Final = "a word of documentation, or one for trying out"
REPEATED: Final = "one character repeated"
FEW: Final = "hardly any different characters"
MOST_READ: Final = 512
"""So many characters say whether a value is a placeholder; a whole key file need not be read for it."""


def slot(body: bytes) -> str | None:
    """Why the variable part of a secret is only the place of one, in a clause; None if nothing says so."""
    body = body[:MOST_READ]
    if _TEMPLATE.search(body):
        return "a template slot"
    if _SLOT_WORDS.search(body):
        return SLOT_WORD
    if _MASK.search(body):
        return "masked characters"
    return None


def doubt(body: bytes) -> str | None:
    """Why the variable part of a secret is hardly anybody's, in a clause; None if nothing says so."""
    body = body[:MOST_READ]
    if _WORDS.search(body):
        return WORD
    run = _RUN.search(body)
    if run and 2 * len(run[0]) >= len(body):
        return REPEATED
    if len(body) >= 8 and len(set(body)) <= 2:
        return FEW
    return None


def placeholder(body: bytes) -> str | None:
    """Either of the two."""
    return slot(body) or doubt(body)


def repeated(body: bytes) -> float:
    """How often each character is written in a row, on the average; a little more than 1 where they are random."""
    body = body[:MOST_READ]
    return len(body) / (1 + sum(one != other for one, other in itertools.pairwise(body)))


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
