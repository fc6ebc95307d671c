"""The two passes over bytes: hits on the wire, candidates in decoded text.

:meth:`Scanner.hits` is the hot path: one call of the engine over as many bytes as one likes, nothing else. Only where
something hit does :meth:`Scanner.candidates` look again, at decoded text.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol, cast

import hyperscan

from service.detect import assignment
from service.detect.capture import Capture
from service.detect.database import Database
from service.records import Candidate, Detector, Secret, Span

Hit = tuple[int, int]
"""The index of a pattern and where its match ended."""

PIECE_BYTES: Final = 8 * 1024 * 1024
"""Longer texts are scanned in pieces of this size, so that hits stay bounded."""

OVERLAP_BYTES: Final = 256 * 1024
"""Pieces overlap by more than any match is long on the wire, so that cutting changes nothing."""

MOST_HITS: Final = 100_000
"""Hits taken from one piece; after so many the next piece begins there."""

MOST_CANDIDATES: Final = 10_000
"""Candidates taken from one text. A text that holds more is reported as cut off, never silently."""

MOST_LAYERS: Final = 2
"""Encodings inside encodings are followed so deep."""

_BEFORE: Final = 128
_NEAR: Final = 32
_LONGEST_KEYWORD: Final = 64
_MARGIN: Final = 4
_CLOSE: Final = 64
_ESCAPED: Final = re.compile(rb"\\+(?:[\"'/nrt]|u00[0-9a-fA-F]{2})|%[0-9a-fA-F]{2}")
"""An escape in the place of what joins a name and its value, as in JSON that is looked at as the text it is."""
_AFTER: Final = 64


class _Layer(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def whole(self) -> Span: ...
    def origin(self, span: Span) -> Span: ...


Unwrap = Callable[[str, bytes, int, int, int], "_Layer | None"]
"""Decodes the run around a hit; see :func:`service.decode.layers.unwrap`."""


class _Unwrapped:
    """What of a text was decoded already: the runs, and where the last run of escapes ended."""

    def __init__(self) -> None:
        self.runs: set[tuple[str, int, int]] = set()
        self.escapes_to = 0


class Candidates(NamedTuple):
    """What a text holds. ``complete`` is False where it held more than :data:`MOST_CANDIDATES`."""

    found: list[Candidate]
    complete: bool


class Scanner:
    """One thread's access to a database. Not to be shared between threads: the engine's scratch space is in it."""

    def __init__(self, database: Database, unwrap: Unwrap) -> None:
        self.database = database
        self._unwrap = unwrap
        self._compiled = database.compiled
        self._scratch = hyperscan.Scratch(database.compiled)
        self._words_scratch = hyperscan.Scratch(database.words)
        self._captures: dict[int, Capture] = {}
        self._beginnings = [(beginning, index) for index, fixed in database.always.items() for beginning in fixed or (b"",)]

    def hits(self, data: bytes | bytearray | memoryview, most: int = MOST_HITS) -> list[Hit]:
        """All hits in the bytes, by where they end; cut off at ``most``, which the caller sees by their number."""
        found: list[Hit] = []
        # the engine takes any buffer, its stubs say otherwise
        with contextlib.suppress(hyperscan.ScanTerminated):
            self._compiled.scan(cast(bytes, data), match_event_handler=_collector(found, most), scratch=self._scratch)
        return found

    def candidates(self, text: bytes, hits: list[Hit] | None = None) -> Candidates:
        """Every candidate of a decoded text, and of what is encoded in it.

        Args:
            text: decoded, but possibly not UTF-8.
            hits: those of :meth:`hits` on just this text, if the caller has them (and they are not cut off).
        """
        found: dict[tuple[str, int, int, str | None], Candidate] = {}
        complete = True
        for candidate in self._search(text, hits, 0):
            key = (candidate.detector.id, candidate.place.start, candidate.place.end, candidate.encoding)
            if key not in found:
                if len(found) >= MOST_CANDIDATES:
                    complete = False
                    break
                found[key] = candidate
        # of two at one place the one that stands there as it is comes first
        return Candidates(sorted(found.values(), key=lambda c: (c.place.start, c.place.end, len(c.encoding or ""))), complete)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _pieces(self, text: bytes) -> Iterator[list[Hit]]:
        start = 0
        while start < len(text):
            stop = min(start + PIECE_BYTES, len(text))
            piece = memoryview(text)[start:stop] if start or stop < len(text) else text
            found = self.hits(piece)
            yield [(pattern, start + end) for pattern, end in found] if start else found
            if len(found) >= MOST_HITS:
                stop = start + found[-1][1]
            if stop >= len(text):
                return
            # hits so dense that they were cut off leave a short piece: half of it is overlap enough, and half is progress
            start = max(stop - OVERLAP_BYTES, start + (stop - start) // 2)

    def _search(self, text: bytes, hits: list[Hit] | None, depth: int) -> Iterator[Candidate]:
        unwrapped = _Unwrapped()
        for piece in self._pieces(text) if hits is None else (hits,):
            plain: defaultdict[int, list[int]] = defaultdict(list)
            encoded: list[Hit] = []
            assigned: list[int] = []
            for pattern, end in piece:
                about = self.database.patterns[pattern]
                if about.kind == "plain":
                    plain[about.detector].append(end)
                elif about.kind == "assignment":
                    assigned.append(end)
                elif about.kind != "mark":
                    encoded.append((pattern, end))
            for detector, ends in plain.items():
                yield from self._plain(text, detector, ends, depth, unwrapped)
            for cluster in _clusters(assigned):
                yield from self._assigned(text, cluster, depth, unwrapped)
            if depth < MOST_LAYERS:
                for pattern, end in encoded:
                    about = self.database.patterns[pattern]
                    if about.kind == "unicode-escape" and end <= unwrapped.escapes_to:
                        continue  # hits at each escape of a run: one look at it is enough
                    yield from self._layer(text, about.kind, end, about.length, about.phase, depth, unwrapped)

    def _plain(self, text: bytes, index: int, ends: list[int], depth: int, unwrapped: _Unwrapped) -> Iterator[Candidate]:
        detector = self.database.detectors[index]
        capture = self._capture(index)
        for start, stop in capture.windows(sorted(ends), len(text)):
            missed = True
            for match in capture.matches(text, start, stop):
                missed = False
                yield _candidate(text, detector, Span(match.start, match.end), match.keyword)
            if missed and depth < MOST_LAYERS:
                window = text[start:stop]
                if b"\\" in window or b"%" in window:
                    for end in ends:
                        if start <= end <= stop:
                            yield from self._layer(text, "plain", end, 4 * capture.ahead, 0, depth, unwrapped)
                            break

    def _capture(self, index: int) -> Capture:
        capture = self._captures.get(index)
        if capture is None:
            capture = self._captures[index] = Capture(self.database.detectors[index])
        return capture

    def _assigned(self, text: bytes, ends: list[int], depth: int, unwrapped: _Unwrapped) -> Iterator[Candidate]:
        """The secrets that are assigned values: of the detectors one of whose keywords stands near, and of no provider."""
        begin = max(0, ends[0] - assignment.REACH)
        window = text[begin : ends[-1] + assignment.LONGEST_SEEN]
        values = [(begin + start, begin + end) for start, end in assignment.values(window)]
        missed = True
        if values:
            near = self._keywords(text, begin, values[-1][1] + assignment.KEYWORD_AFTER)
            for index in sorted({*self._unnamed(window), *near}):
                detector, capture = self.database.detectors[index], self._capture(index)
                keywords = near[index] if detector.keywords else None
                seen: set[tuple[int, int]] = set()
                for start, end in values:
                    if keywords and not _may_reach(keywords, start, end):
                        continue
                    for span in capture.starting(text, max(0, start - _MARGIN), start + assignment.MOST_BEFORE):
                        if span in seen:  # of neighbouring values each sees the same
                            continue
                        keyword = _longest_near(keywords, *span) if keywords else None
                        if keyword or not keywords:
                            missed = False
                            seen.add(span)
                            yield _candidate(text, detector, Span(*span), keyword)
        if missed and depth < MOST_LAYERS and _ESCAPED.search(text, max(0, ends[0] - _CLOSE), ends[-1] + _MARGIN):
            yield from self._layer(text, "plain", ends[0], 4 * assignment.LONGEST_SEEN, 0, depth, unwrapped)

    def _unnamed(self, window: bytes) -> Iterator[int]:
        """The detectors of assigned secrets without keywords that may find one in a part of a text."""
        for beginning, index in self._beginnings:
            if beginning in window:
                yield index

    def _keywords(self, text: bytes, begin: int, stop: int) -> dict[int, list[tuple[str, int]]]:
        """The keywords in a part of the text and where each ends, by the detectors whose they are."""
        found: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)

        def on_match(word: int, start: int, end: int, flags: int, context: object) -> None:
            for index in self.database.owners[word]:
                found[index].append((self.database.keywords[word], begin + end))

        self.database.words.scan(text[begin:stop], match_event_handler=on_match, scratch=self._words_scratch)
        return found

    def _layer(
        self,
        text: bytes,
        kind: str,
        end: int,
        length: int,
        phase: int,
        depth: int,
        unwrapped: _Unwrapped,
    ) -> Iterator[Candidate]:
        layer = self._unwrap(kind, text, end, length, phase)
        if layer is None:
            return
        key = (layer.name, layer.whole.start, layer.whole.end)
        if key in unwrapped.runs:
            return
        unwrapped.runs.add(key)
        if kind == "unicode-escape":
            unwrapped.escapes_to = layer.whole.end
        for inner in self._search(layer.data, None, depth + 1):
            place = layer.origin(inner.place)
            name = layer.name if inner.encoding is None else f"{layer.name}+{inner.encoding}"
            yield Candidate(inner.detector, inner.secret, inner.span, place, name, inner.before, inner.after, inner.keyword)


def _may_reach(keywords: list[tuple[str, int]], start: int, end: int) -> bool:
    """True if one of the keywords stands so near to a value that a secret in it may be its."""
    first = start - assignment.KEYWORD_BEFORE
    last = end + assignment.KEYWORD_AFTER + _LONGEST_KEYWORD
    return any(first <= at <= last for _, at in keywords)


def _longest_near(keywords: list[tuple[str, int]], start: int, end: int) -> str | None:
    """The longest of the keywords that stands near enough before or behind a secret."""
    near = (
        keyword
        for keyword, at in keywords
        if 0 <= start - at <= assignment.KEYWORD_BEFORE or end < at <= end + assignment.KEYWORD_AFTER + len(keyword)
    )
    return max(near, key=len, default=None)


def _clusters(ends: list[int]) -> Iterator[list[int]]:
    """Hits of one value or of neighbouring ones, looked at together, but not so many that a window grows long."""
    cluster: list[int] = []
    for end in sorted(ends):
        if cluster and (end - cluster[-1] > _NEAR or end - cluster[0] > assignment.REACH):
            yield cluster
            cluster = []
        cluster.append(end)
    if cluster:
        yield cluster


def _collector(found: list[Hit], most: int) -> Callable[[int, int, int, int, object], bool | None]:
    append = found.append

    def on_match(pattern: int, start: int, end: int, flags: int, context: object) -> bool | None:
        append((pattern, end))
        return len(found) >= most or None

    return on_match


def _candidate(text: bytes, detector: Detector, span: Span, keyword: str | None) -> Candidate:
    return Candidate(
        detector=detector,
        secret=Secret(text[span.start : span.end]),
        span=span,
        place=span,
        encoding=None,
        before=text[max(0, span.start - _BEFORE) : span.start],
        after=text[span.end : span.end + _AFTER],
        keyword=keyword,
    )
