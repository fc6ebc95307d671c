"""The parts of a JSON document that a hit came near: only they are taken apart.

A long value that hit once is mostly what nothing hit in. To parse it takes two milliseconds a megabyte; to walk through its
strings, lay them out and scan them again takes thirty times as long. So the parser is asked a second time, only for where
elements and members are as they are written, and what no hit came near is left out.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

REACH_BYTES: Final = 4096
"""What stands so near to a hit may say something of it, as a keyword or a companion."""

MOST_LEVELS: Final = 4
"""Containers are looked into so deep: each level is one more pass of the parser over what stays."""

SHORT_BYTES: Final = 2048
"""What is no longer is taken apart as a whole."""

LEAST_BYTES: Final = 32
"""Where elements are shorter on the average, it would take more memory to tell them apart than they are worth."""

_MARGIN: Final = 16
"""An expression may go on a little beyond what it looks for."""

_as_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_as_dict: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_BETWEEN: Final = re.compile(rb"[ \t\r\n,]*")
_NAME: Final = re.compile(rb'[ \t\r\n,]*"[^"\\]*(?:\\.[^"\\]*)*"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)


class Part(NamedTuple):
    """A part of a value as it is written, and where in it hits end, rising."""

    data: bytes
    ends: Sequence[int]

    def cut(self, start: int, stop: int, reach: int) -> Part | None:
        """The part between two places; None if no hit ends so near to it."""
        first, last = bisect_left(self.ends, start - reach), bisect_left(self.ends, stop + reach)
        return Part(self.data[start:stop], [end - start for end in self.ends[first:last]]) if first < last else None


def items(part: Part, document: Sequence[Any]) -> list[Part | None] | None:
    """The elements of an array, or the lines of JSON, as they are written; None for those that nothing hit in.

    Args:
        part: what is written.
        document: what it was parsed to.

    Returns:
        One for each item of the document; None where they cannot be told, as in what is not written in UTF-8.
    """
    if len(document) * LEAST_BYTES > len(part.data):
        return None
    spans = _elements(part.data) if part.data.lstrip()[:1] == b"[" else _lines(part.data)
    return [part.cut(*span, _MARGIN) for span in spans] if len(spans) == len(document) else None


def pruned(document: Any, part: Part, levels: int = MOST_LEVELS) -> Any:
    """A document without what no hit comes near: such members are left out, and null takes the place of elements.

    Args:
        document: what it was parsed to.
        part: what is written.
        levels: of containers that are looked into.
    """
    size = len(part.data)
    if not levels or size <= SHORT_BYTES or not isinstance(document, list | dict) or len(document) * LEAST_BYTES > size:
        return document
    if isinstance(document, list) and len(spans := _elements(part.data)) == len(document):
        near = [part.cut(*span, REACH_BYTES) for span in spans]
        return [pruned(item, inner, levels - 1) if inner else None for item, inner in zip(document, near, strict=True)]
    if isinstance(document, dict) and (places := _members(part.data)) is not None:
        near = [part.cut(start, stop, REACH_BYTES + named) for named, start, stop in places]
        pairs = zip(document.items(), near, strict=True)
        return {name: pruned(item, inner, levels - 1) for (name, item), inner in pairs if inner}
    return document


def _elements(data: bytes) -> list[tuple[int, int]]:
    """Where the elements of an array begin and end; empty where it is none."""
    found: list[tuple[int, int]] = []
    try:
        raws = _as_list(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return found
    at = data.index(b"[") + 1
    for raw in raws:
        at = _BETWEEN.match(data, at).end()  # type: ignore[union-attr]
        found.append((at, at := at + len(memoryview(raw))))
    return found


def _members(data: bytes) -> list[tuple[int, int, int]] | None:
    """How long the names of an object's members are, and where their values begin and end; None where two have one name."""
    found = []
    try:
        raws = _as_dict(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    at = data.index(b"{") + 1
    for raw in raws.values():
        head = _NAME.match(data, at)
        if head is None or not data.startswith(bytes(raw), head.end()):
            return None
        found.append((head.end() - at, head.end(), at := head.end() + len(memoryview(raw))))
    return found if data[at:].lstrip()[:1] == b"}" else None


def _lines(data: bytes) -> list[tuple[int, int]]:
    found = []
    at = 0
    for line in data.split(b"\n"):
        if line.strip():
            found.append((at, at + len(line)))
        at += len(line) + 1
    return found
