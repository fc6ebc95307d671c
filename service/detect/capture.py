"""Cuts candidates out of decoded text: a detector's own expression, applied to a window around a hit.

RE2 runs it in time linear in the window, whatever a user's expression looks like. It has no look-around, so what must
stand left and right of a token is matched along with it and left out of the span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import re2

from service.detect import expressions
from service.detect.database import GAP_CHARACTERS, GAP_ESCAPABLE, keyword_expression
from service.detect.expressions import ALNUM, ANY, ESCAPABLE, WORD, char_set
from service.errors import ExpressionError
from service.records import Detector

_ESCAPE_TAIL: Final = r"\\[nrtbfv]|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|%[0-9A-Fa-f]{2}|\x1b\[[0-9;]*m"
"""A letter or digit that ends an escape or a colour code does not go on with the token behind it."""

MOST_BEFORE: Final = 512
MOST_BEHIND: Final = 192
"""Where what stands before or behind a secret has no bounds, such as blanks and names, so much of it is looked at."""

_ESCAPING: Final = b"\\%\x1b"
_RUN: Final = frozenset(b"+/-_~")
_ESCAPABLE_BYTES: Final = bytes(sorted(ESCAPABLE))


class Match(NamedTuple):
    """Where a secret stands: its span, and the keyword before it where the detector asks for one."""

    start: int
    end: int
    keyword: str | None


class Capture:
    """The cutter of one detector. Keywords of assigned secrets are not its business.

    Raises:
        ExpressionError: RE2 refuses the expression (the engine's and its bounds differ in rare cases).
    """

    def __init__(self, detector: Detector) -> None:
        lead, before = expressions.parse(detector.lead), expressions.parse(detector.before)
        secret, after = expressions.parse(detector.expression), expressions.parse(detector.after)
        left = ""
        if detector.boundary in ("token", "left"):
            left = _left(expressions.concatenate(lead, before, secret), bool(detector.keywords))
        right = _right(secret) if detector.boundary in ("token", "right") and not detector.after else ""
        keyworded = bool(detector.keywords) and not detector.assigned
        leading = f"{left}{expressions.exact(lead)}"
        # what leads has wide bounds: apart from the rest, behind which it is seldom asked for, it takes a tenth of the time
        apart = bool(detector.lead) and not keyworded
        head = f"{'' if apart else leading}{expressions.exact(before)}"
        tail = f"{expressions.exact(after)}{right}"
        if keyworded:
            words = "|".join(keyword_expression(keyword) for keyword in detector.keywords)
            gap = f"(?s:.{{0,{GAP_CHARACTERS}}}?)"
            head = f"({words})({gap}){head}"
        self._grouping = f"{head}({expressions.exact(secret)}){tail}"
        self._margins: tuple[int, int] | None = None
        around = [expressions.width(before), expressions.width(after)]
        if not keyworded and all(least == most for least, most in around):
            self._margins = around[0][0] + bool(left and not apart), around[1][0] + bool(right)
        # to find a match takes the engine a fraction of what it takes to tell where in it a group is
        body = f"{head}(?:{expressions.exact(secret)}){tail}" if self._margins else self._grouping
        self._secret = 3 if keyworded else 1
        self._most = expressions.width(secret)[1]
        self.ahead = self._most + min(expressions.width(after)[1], MOST_BEHIND) + 16
        self.reach = min(expressions.width(expressions.concatenate(lead, before))[1], MOST_BEFORE) + self.ahead
        if keyworded:
            self.reach += GAP_CHARACTERS + max(map(len, detector.keywords)) * 2
        try:
            self._pattern = expressions.Linear(body)
            self._lead = expressions.Linear(f"{leading}$") if apart else None
        except re2.error as error:
            raise ExpressionError(f"{detector.id}: {error}") from error

    def windows(self, ends: Sequence[int], length: int) -> Iterator[tuple[int, int]]:
        """The parts of a text of this length in which the matches behind hits with these ends must lie, merged.

        A hit ends in the secret or behind it: no farther than ``reach`` behind where the match begins, and no farther than
        ``ahead`` before where it ends.
        """
        start = stop = -1
        for end in ends:
            if stop >= 0 and end - self.reach <= stop:
                stop = max(stop, end + self.ahead)
                continue
            if stop >= 0:
                yield start, min(stop, length)
            start, stop = max(0, end - self.reach), end + self.ahead
        if stop >= 0:
            yield start, min(stop, length)

    def matches(self, text: bytes, start: int, stop: int) -> Iterator[Match]:
        """Every match in a window, left to right, none overlapping another."""
        # the sentinels stand for the ends of the text; elsewhere the neighbouring bytes are in the window
        window = (b"\n" if start == 0 else b"") + text[start:stop] + (b"\n" if stop >= len(text) else b"")
        base = start - (start == 0)
        at = 0
        while (found := self._search(window, at)) is not None:
            begin, end = found[self._secret]
            at = found[0][0] + 1
            if end - begin > self._most or not self._is_led(window, found[0][0]):
                continue
            keyword = None
            if self._secret == 3:
                gap = window[found[1][1] : begin]
                if len(gap) - len(gap.translate(None, _ESCAPABLE_BYTES)) > GAP_ESCAPABLE or len(gap) > GAP_CHARACTERS:
                    continue
                keyword = window[slice(*found[1])].decode("latin-1")
            at = end
            yield Match(base + begin, base + end, keyword)

    def _search(self, window: bytes, at: int) -> expressions.Spans | None:
        """The next match and its groups; they are told by the margins where these are fixed."""
        found = self._pattern.search(window, at)
        if found is None or self._margins is None:
            return found
        (start, stop), (before, after) = found[0], self._margins
        # the tail of an escape has no fixed length
        return (
            self._grouped.search(window, at) if window[start] in _ESCAPING else [(start, stop), (start + before, stop - after)]
        )

    @cached_property
    def _grouped(self) -> expressions.Linear:
        return expressions.Linear(self._grouping)

    def _is_led(self, window: bytes, start: int) -> bool:
        return self._lead is None or self._lead.search(window[max(0, start - MOST_BEFORE) : start]) is not None

    def starting(self, text: bytes, start: int, last: int) -> Iterator[tuple[int, int]]:
        """The spans of assigned secrets in a window, left to right, that begin at ``last`` at the latest."""
        stop = last + self.reach
        window = (b"\n" if start == 0 else b"") + text[start:stop] + (b"\n" if stop >= len(text) else b"")
        base = start - (start == 0)
        at = 0
        while (found := self._search(window, at)) is not None:
            begin, end = found[self._secret]
            if base + begin > last:
                return
            at = found[0][0] + 1
            if end - begin <= self._most:
                at = end
                yield base + begin, base + end
                if base + end > last:  # whatever follows begins behind it
                    return


def _left(node: expressions.Node, keyword: bool) -> str:
    starts = expressions.first(node)
    if not starts & WORD:
        return ""
    forbidden = ALNUM | (frozenset(b"_") | (starts & _RUN) if keyword else frozenset())
    return f"(?:{char_set(ANY - forbidden)}|{_ESCAPE_TAIL})"


def _right(node: expressions.Node) -> str:
    ends = expressions.last(node)
    if not ends & (WORD | _RUN | frozenset(b"=")):
        return ""
    return char_set(ANY - (WORD | (ends & (_RUN | frozenset(b"=")))))
