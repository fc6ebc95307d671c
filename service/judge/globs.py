"""Patterns of paths and ids, as people write them: ``*`` inside a part, ``**`` over parts, ``?``, ``[ab]``, ``{a,b}``.

A pattern of paths without a ``/`` inside is one of names, at any depth, and one that ends in ``/`` or names a folder covers
what is in it, as in a ``.gitignore``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import re2

_LONGEST: Final = 512


def problem(pattern: str) -> str | None:
    """What is wrong with a pattern, in a clause; None if nothing is."""
    if not pattern or len(pattern) > _LONGEST:
        return f"1 to {_LONGEST} characters expected"
    if pattern.count("{") != pattern.count("}") or "{" in re.sub(r"\{[^{}]*\}", "", pattern):
        return "{a,b} expected, each closed and none inside another"
    try:
        _linear(_translated(pattern, "."))
    except re2.error:
        return "a class such as [a-z] expected between brackets"
    return None


@lru_cache(1024)
def of_paths(pattern: str) -> Callable[[str], bool]:
    """Says of a path whether the pattern covers it; back-slashes in it count as slashes."""
    trimmed = pattern.strip("/") or pattern
    anywhere = "/" not in pattern.rstrip("/")
    expression = _linear(f"{'(?:.*/)?' if anywhere else ''}{_translated(trimmed, '[^/]')}(?:/.*)?")

    def covers(path: str) -> bool:
        return expression.fullmatch(path.replace("\\", "/").removeprefix("./").lstrip("/")[-4096:]) is not None

    return covers


@lru_cache(1024)
def of_words(pattern: str) -> Callable[[str], bool]:
    """Says of an id, a name or a URL whether the pattern covers it whole, in any case."""
    expression = _linear(f"(?i:{_translated(pattern, '.')})")
    return lambda word: expression.fullmatch(word[:4096]) is not None


def _linear(expression: str) -> Any:
    """RE2 refuses any path in time linear in its length, however many stars stand in the pattern."""
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    return re2.compile(expression, options)


def _translated(pattern: str, one: str) -> str:
    """The pattern as an expression; ``one`` is what a single star and ``?`` stand for."""
    found: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            found.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            found.append(".*")
            at += 2
        elif pattern[at] == "[" and pattern.find("]", at + 2) > 0:
            end = pattern.find("]", at + 2)
            inside = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            found.append(f"[{'^' + inside[1:] if inside[0] == '!' else inside}]")
            at = end + 1
        elif pattern[at] == "{":
            end = pattern.index("}", at)
            found.append(f"(?:{'|'.join(_translated(part, one) for part in pattern[at + 1 : end].split(','))})")
            at = end + 1
        else:
            found.append({"*": f"{one}*", "?": one}.get(pattern[at], re.escape(pattern[at])))
            at += 1
    return "".join(found)
