"""The parts of a JSON document that a hit came near: only they are taken apart.

A long value that hit once is mostly what nothing hit in. To parse it takes two milliseconds a megabyte; to walk through its
strings, lay them out and scan them again takes thirty times as long. So the parser is asked a second time, only for where
elements and members are as they are written, and what no hit came near is left out.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter
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

_LONGEST_NAME: Final = REACH_BYTES // 4

_as_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_as_dict: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_BETWEEN: Final = re.compile(rb"[ \t\r\n,]*")
_NAME: Final = re.compile(rb'[ \t\r\n,]*"[^"\\]*(?:\\.[^"\\]*)*"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)


class Part(NamedTuple):
    """A part of a value as it is written, and where in it hits end, rising."""

    data: bytes
    ends: Sequence[int]


def _hit(part: Part, spans: Sequence[tuple[int, int]], reach: int) -> list[Part | None]:
    """The parts at these spans, which follow each other; None for those that no hit ends so near to."""
    found: list[Part | None] = [None] * len(spans)
    ends, last = part.ends, 0
    for end in ends:
        for index in range(max(last, bisect_left(spans, end - reach, key=itemgetter(1))), len(spans)):
            start, stop = spans[index]
            if start - reach >= end:
                break
            near = ends[bisect_left(ends, start - reach) : bisect_right(ends, stop + reach)]
            found[index] = Part(part.data[start:stop], [at - start for at in near])
            last = index + 1
    return found


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
    return _hit(part, spans, _MARGIN) if len(spans) == len(document) else None


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
        inner = zip(document, _hit(part, spans, REACH_BYTES), strict=True)
        return [pruned(item, near, levels - 1) if near else None for item, near in inner]
    if isinstance(document, dict) and len(spans := _members(part.data)) == len(document):
        members = zip(document.items(), _hit(part, spans, REACH_BYTES), strict=True)
        return {name: pruned(item, near, levels - 1) for (name, item), near in members if near}
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


def _members(data: bytes) -> list[tuple[int, int]]:
    """Where the values of an object's members begin and end; empty where two have one name, or one that is very long."""
    found: list[tuple[int, int]] = []
    try:
        raws = _as_dict(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return found
    at = data.index(b"{") + 1
    for raw in raws.values():
        head = _NAME.match(data, at, at + _LONGEST_NAME)
        if head is None or not data.startswith(bytes(raw), start := head.end()):
            return []
        found.append((start, at := start + len(memoryview(raw))))
    return found if data[at : at + _LONGEST_NAME].lstrip()[:1] == b"}" else []


def _lines(data: bytes) -> list[tuple[int, int]]:
    found = []
    at = 0
    for line in data.split(b"\n"):
        if line.strip():
            found.append((at, at + len(line)))
        at += len(line) + 1
    return found
