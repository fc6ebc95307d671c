"""An event as one running text, and the way back from a place in it to the string and the line it belongs to.

The strings of an event are laid out in their order, each behind its member's name (``token: "…"``). One scan covers them
all, a keyword in a name stands before its value, and one in a neighbouring member (``{"name": "WEPAY_TOKEN", "value": …}``)
stands as near as it did on the wire.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final, NamedTuple

from service.records import Event, Span, Text

_HUNK: Final = re.compile(rb"^@@ -\d+(?:,\d+)? \+(\d{1,9})(?:,\d+)? @@", re.MULTILINE)
_NOT_NEW: Final = re.compile(rb"\n[-\\]")
_MARGIN: Final = re.compile(rb"^[+ -](?![+-]{2} )", re.MULTILINE)


class Place(NamedTuple):
    """A place inside an event: the string, the byte offset in it, and line and column, both from 1."""

    text: Text
    offset: int
    line: int
    column: int


class Flat:
    """The running text of an event, in ``data``."""

    def __init__(self, event: Event) -> None:
        parts: list[bytes] = []
        self._starts: list[int] = []
        self._texts = event.texts
        at = 0
        for text in event.texts:
            lead = text.name + b': "' if text.name else b""
            # the margin of a diff is not part of its lines; a blank of the same length keeps all places
            body = _MARGIN.sub(b" ", text.data) if text.kind == "patch" else text.data
            parts += (lead, body, b'"\n' if text.name else b"\n")
            self._starts.append(at + len(lead))
            at += len(lead) + len(body) + len(parts[-1])
        self.data = b"".join(parts) if len(event.texts) != 1 or event.texts[0].name else parts[1]
        if len(event.texts) == 1 and not event.texts[0].name:
            self._starts = [0]
        self._counted: dict[int, tuple[int, int]] = {}
        self._walked: dict[int, tuple[int, int | None]] = {}

    def place(self, span: Span) -> Place | None:
        """Where a span of ``data`` begins; None if it goes beyond one string or stands in none."""
        index = bisect_right(self._starts, span.start) - 1
        if index < 0:
            return None
        text = self._texts[index]
        offset = span.start - self._starts[index]
        if offset + len(span) > len(text.data):
            return None
        line_start = text.data.rfind(b"\n", 0, offset) + 1
        before = self._lines_before(index, text.data, line_start)
        if text.kind == "patch":
            line = self._line_in_patch(index, text.data, line_start)
            return Place(text, offset, before + 1 if line is None else line, max(1, offset - line_start))
        return Place(text, offset, text.first_line + before, offset - line_start + 1)

    def _lines_before(self, index: int, data: bytes, line_start: int) -> int:
        """Counted on from the place that was asked for last: mostly they are asked for in their order."""
        at, lines = self._counted.get(index, (0, 0))
        if line_start >= at:
            lines += data.count(b"\n", at, line_start)
        else:
            lines -= data.count(b"\n", line_start, at)
        self._counted[index] = (line_start, lines)
        return lines

    def _line_in_patch(self, index: int, data: bytes, line_start: int) -> int | None:
        """The line number in the new file, by the hunk's head; of a removed line, the one it stood before; None in no hunk."""
        at, line = self._walked.get(index, (0, None))
        if line_start < at:
            at, line = 0, None
        head = None
        for head in _HUNK.finditer(data, at, line_start):  # noqa: B007 - the last one counts
            pass
        if head is not None:
            at, line = head.end(), int(head[1]) - 1
        elif line is not None and data.startswith((b"-", b"\\"), at, line_start):
            line -= 1
        if line is not None:
            line += data.count(b"\n", at, line_start) - len(_NOT_NEW.findall(data, at, line_start))
        self._walked[index] = (line_start, line)
        return line
