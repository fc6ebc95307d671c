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
    rb"^\$[A-Za-z_]|\$\{|\$\(|\{\{|\}\}|^<[^>]*>$|^%[sdv(]|%\(|^\{[A-Za-z_][\w.]*\}$|#\{|^@[A-Za-z_{][\w.]*[})]?$|\bprocess\.env\b|\bos\.environ|\bgetenv\b"
)
_SEQUENCES: Final = (
    b"abcdefghijklmnopqrstuvwxyz",
    b"zyxwvutsrqponmlkjihgfedcba",
    b"01234567890123456789",
    b"98765432109876543210",
    b"qwertyuiopasdfghjklzxcvbnm",
)


def placeholder(body: bytes) -> str | None:
    """Why the variable part of a secret cannot be anybody's, in a clause; None if nothing says so."""
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


def sequential_share(body: bytes) -> float:
    """The share of the body, 0 to 1, that walks along the alphabet, the digits or a keyboard, five steps at least."""
    lower = body.lower()
    at = walked = 0
    while at < len(lower) - 4:
        longest = 0
        for line in _SEQUENCES:
            place = line.find(lower[at : at + 5])
            if place >= 0:
                length = 5
                while (
                    place + length < len(line)
                    and lower[at + length : at + length + 1] == line[place + length : place + length + 1]
                ):
                    length += 1
                longest = max(longest, length)
        walked += longest
        at += longest or 1
    return walked / len(body) if body else 0.0
