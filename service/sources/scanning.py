"""Scans files and streams without Kafka: buffers in, findings with their file, line and column out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO, Final, NamedTuple

import msgspec

from service.detect.scanner import MOST_HITS, OVERLAP_BYTES
from service.inspection import Inspector
from service.judge.reasons import Dropped
from service.records import Finding, Span
from service.sources import files
from service.sources.files import Skipped

STREAM_BYTES: Final = 8 * 1024 * 1024


class FileDropped(NamedTuple):
    """A candidate of a file that is not reported; line and column as in :class:`FileFinding`."""

    path: str
    line: int
    column: int
    dropped: Dropped


OnDropped = Callable[[FileDropped], None]


class FileFinding(NamedTuple):
    """A finding in a file; line and column from 1, the column in bytes, ``character`` the same in code points."""

    path: str
    line: int
    column: int
    finding: Finding
    character: int


def scan(
    paths: Iterable[str],
    inspector: Inspector,
    skipped: list[Skipped] | None = None,
    on_dropped: OnDropped | None = None,
) -> Iterator[FileFinding]:
    """The findings of the files, in their order. A whole buffer of clean files costs one call of the engine."""
    for buffer in files.buffers(paths, skipped):
        hits = inspector.hits(buffer.data)
        if not hits:
            continue
        cut_off = len(hits) >= MOST_HITS
        at = 0
        for file in buffer.files:
            own = []
            while at < len(hits) and hits[at][1] <= file.end:
                own.append((hits[at][0], hits[at][1] - file.start))
                at += 1
            if not own and not (cut_off and at >= len(hits)):
                continue
            text = bytes(buffer.data[file.start : file.end])
            tell = partial(_tell, on_dropped, file.path, text) if on_dropped else None
            for finding in inspector.text(text, None if cut_off else own, file.path, tell):
                yield _placed(file.path, text, finding)


def stream(source: BinaryIO, inspector: Inspector, on_dropped: OnDropped | None = None) -> Iterator[FileFinding]:
    """The findings of standard input, read in pieces; memory stays bounded however long it goes on."""
    carried = b""
    base = lines = 0
    line_start = 0
    reported_to = -1
    while True:
        more = source.read(STREAM_BYTES)
        text = carried + more
        if not text:
            return
        last = not more
        # what ends in the overlap is left to the next piece, where it is seen whole
        limit = len(text) if last else max(0, len(text) - OVERLAP_BYTES)
        tell = partial(_tell, on_dropped, "-", text, lines=lines, limit=None if last else limit) if on_dropped else None
        for finding in inspector.text(text, None, None, tell):
            place = finding.candidate.place
            if place.start + base <= reported_to or (place.start >= limit and not last):
                continue
            reported_to = place.start + base
            line = lines + text.count(b"\n", 0, place.start)
            start = text.rfind(b"\n", 0, place.start) + 1
            column = place.start - start + 1 if start else place.start + base - line_start + 1
            character = column - (place.start - start) + len(text[start : place.start].decode("utf-8", "replace"))
            yield FileFinding("-", line + 1, column, _moved(finding, base), character)
        if last:
            return
        # what stands before the cut is kept too, as far as a keyword reaches
        keep = max(0, limit - OVERLAP_BYTES)
        lines += text.count(b"\n", 0, keep)
        newline = text.rfind(b"\n", 0, keep)
        line_start = base + newline + 1 if newline >= 0 else line_start
        carried, base = text[keep:], base + keep


def _tell(on_dropped: OnDropped, path: str, text: bytes, dropped: Dropped, lines: int = 0, limit: int | None = None) -> None:
    start = dropped.candidate.place.start
    if limit is None or start < limit:  # what begins behind it is seen again, whole
        line_start = text.rfind(b"\n", 0, start) + 1
        on_dropped(FileDropped(path, lines + text.count(b"\n", 0, start) + 1, start - line_start + 1, dropped))


def _placed(path: str, text: bytes, finding: Finding) -> FileFinding:
    start = finding.candidate.place.start
    line_start = text.rfind(b"\n", 0, start) + 1
    characters = len(text[line_start:start].decode("utf-8", "replace"))
    return FileFinding(path, text.count(b"\n", 0, start) + 1, start - line_start + 1, finding, characters + 1)


def _moved(finding: Finding, base: int) -> Finding:
    if not base:
        return finding
    old = finding.candidate
    place = Span(old.place.start + base, old.place.end + base)
    return msgspec.structs.replace(finding, candidate=msgspec.structs.replace(old, place=place))
