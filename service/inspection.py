"""The synchronous middle of the pipeline: from bytes in which the engine hit something to judged findings.

Pure computation, run in the scanning thread: decode, detect, judge. What it cannot process it says with a reason from a
closed list, and no record makes it raise.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Final, NamedTuple

from service.consume.batches import Slab
from service.decode import sniff
from service.decode.flat import Flat, Place
from service.detect.scanner import MOST_HITS, Hit, Scanner
from service.errors import UndecodableError
from service.judge import score
from service.judge.policy import Policy
from service.judge.reasons import Dropped, Reason
from service.publish.redact import redact
from service.records import Candidate, Confidence, Detector, Event, Finding, Location, Origin, Record, Text

MOST_DECODED_BYTES: Final = 16 * 1024 * 1024
"""A longer value is scanned as the text it is; taking it apart would take many times its size in memory."""

MOST_AUDITED: Final = 1000
"""Dropped candidates of one job that are told with their places; the others are counted."""

_WHOLE: Final = frozenset(("text", "syslog", "cri", "oversized", "record"))
"""Envelopes in which a value, or what is beside it, is one text as it stands."""


_TOLD_ELSEWHERE: Final = frozenset((Reason.overlapped, Reason.joined))
"""Reasons of what is not kept back: an alert at the same place tells of it."""


class Found(NamedTuple):
    """A finding, where it is, how often its secret stands in the record, and the record's time in milliseconds."""

    finding: Finding
    location: Location
    occurrences: int
    timestamp: int = -1


class Failure(NamedTuple):
    """A record that could not be processed whole. ``error`` is an exception's type, never its text."""

    record: Record
    reason: str
    error: str = ""


class Inspected(NamedTuple):
    """What a slab holds."""

    slab: Slab
    found: list[Found]
    failures: list[Failure]


class Tally:
    """Counts of one job, for the metrics: filled in the thread, read by the loop afterwards."""

    def __init__(self) -> None:
        self.bytes = 0
        self.hit_records = 0
        self.candidates = 0
        self.seconds = 0.0
        self.envelopes: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.audit: list[tuple[Dropped, Location]] = []
        """What was dropped and where, if the inspector is to tell: the first :data:`MOST_AUDITED` of the job."""


class Inspector:
    """Looks through slabs, events and texts. One thread's: it holds a :class:`Scanner`."""

    def __init__(
        self,
        scanner: Scanner,
        envelopes: Mapping[str, str] | None = None,
        min_confidence: Confidence = Confidence.low,
        on_dropped: Callable[[Dropped], None] | None = None,
        policy: Policy | None = None,
        audit: bool = False,
    ) -> None:
        self._audit = audit
        self._scanner = scanner
        self._envelopes = dict(envelopes or {})
        self._least = min_confidence
        self._on_dropped = on_dropped
        self._policy = policy

    def hits(self, data: bytes | bytearray | memoryview) -> list[Hit]:
        """The engine's hits in the bytes."""
        return self._scanner.hits(data)

    def has_image(self, detector: str) -> bool:
        """True if secrets of this detector are found in base64."""
        database = self._scanner.database
        return any(
            pattern.kind == "base64" and pattern.detector >= 0 and database.detectors[pattern.detector].id == detector
            for pattern in database.patterns
        )

    def text(
        self,
        text: bytes,
        hits: list[Hit] | None = None,
        path: str | None = None,
        on_dropped: Callable[[Dropped], None] | None = None,
    ) -> list[Finding]:
        """The findings of a text that is no event, such as a file.

        Args:
            text: what is looked through.
            hits: those on just this text, if they are known.
            path: of the file that it is.
            on_dropped: told of what is not returned, in place of the one that the inspector was made with.
        """
        candidates = self._scanner.candidates(text, hits).found
        if not candidates:
            return []
        judgement = score.judge(candidates, text, path, self._least)
        tell = on_dropped or self._on_dropped
        if tell:
            for dropped in judgement.dropped:
                tell(dropped)
            for finding in judgement.findings:
                if finding.confidence.rank < self._least.rank:
                    clause = f"{finding.confidence}: {'; '.join(finding.reasons)}"
                    tell(Dropped(finding.candidate, Reason.below_min_confidence, clause))
        return [finding for finding in judgement.findings if finding.confidence.rank >= self._least.rank]

    def slabs(self, slabs: Iterable[Slab], most: int | None = None) -> tuple[list[Inspected], Tally]:
        """Scans what was fetched, and looks closer where something hit.

        Args:
            slabs: what was fetched.
            most: after so many findings the slabs that are left are left to another call; None for all in one.
        """
        tally = Tally()
        found = 0
        began = time.perf_counter()
        inspected = []
        for slab in slabs:
            tally.bytes += len(slab.data)
            hits = () if slab.broken else self._scanner.hits(slab.data)
            if hits or slab.broken:
                inspected.append(self._slab(slab, hits, tally))
            else:
                inspected.append(Inspected(slab, [], []))
            found += len(inspected[-1].found)
            if most is not None and found >= most:
                break
        tally.seconds = time.perf_counter() - began
        return inspected, tally

    def _slab(self, slab: Slab, hits: Sequence[Hit], tally: Tally) -> Inspected:
        if slab.broken:
            record = Record(slab.topic, slab.partition, slab.first_offset, slab.timestamp, None, bytes(slab.data))
            return Inspected(slab, [], [Failure(record, slab.broken)])
        found: list[Found] = []
        failures: list[Failure] = []
        same: dict[tuple[object, ...], Finding] = {}
        # more hits than are kept: every record is looked at, so that none is missed
        hits = sorted(hits, key=itemgetter(1))
        ends = None if len(hits) >= MOST_HITS else [end for _, end in hits]
        for record, value_at in slab.records(ends):
            tally.hit_records += 1
            try:
                within = None if ends is None else _within(hits, ends, value_at, record.value)
                found.extend(_sharing(item, same) for item in self.record(record, tally, within))
            except UndecodableError as error:
                failures.append(Failure(record, error.reason))
            except Exception as error:  # a fault of ours must not stop the stream, nor lose the record
                failures.append(Failure(record, "internal_error", type(error).__name__))
        return Inspected(slab, found, failures)

    def record(self, record: Record, tally: Tally, hits: list[Hit] | None = None) -> list[Found]:
        """The findings of one record; ``hits`` are those in its value as it arrived, if known.

        Raises:
            UndecodableError: it could not be processed whole.
        """
        found: list[Found] = []
        seen = tally.candidates
        envelopes = set()
        for index, event in enumerate(self._events(record, hits)):
            envelopes.add(event.origin.envelope)
            tally.envelopes[event.origin.envelope or "unknown"] += 1
            if event.texts:
                found.extend(self.event(event, tally, record, index, hits))
        if tally.candidates == seen and envelopes - _WHOLE:
            # something hit, and is in no string: a parser keeps only the last of two members of one name
            found.extend(self._of_own_format(record, tally, hits))
        return found

    def _of_own_format(self, record: Record, tally: Tally, hits: list[Hit] | None) -> list[Found]:
        """The findings in the value as it is, of detectors that need no neighbour to be sure."""
        if hits is not None:
            patterns, detectors = self._scanner.database.patterns, self._scanner.database.detectors
            hits = [hit for hit in hits if (at := patterns[hit[0]].detector) < 0 or _is_sure(detectors[at])]
            if not hits:
                return []
        whole = Event(Origin(envelope="whole"), [Text(record.value or b"", "value")])
        found = self.event(whole, tally, record, hits=hits)
        return [item for item in found if _is_sure(item.finding.candidate.detector)]

    def _events(self, record: Record, hits: list[Hit] | None) -> Iterator[Event]:
        if len(record.value or b"") <= MOST_DECODED_BYTES:
            ends = None if hits is None else [end for _, end in hits]
            return sniff.decode(record, self._envelopes.get(record.topic), ends)
        texts = [Text(record.value or b"", "value")]
        texts += [Text(record.key, "key")] if record.key else []
        texts += [Text(content, f"headers.{name}") for name, content in record.headers if content]
        return iter((Event(Origin(envelope="oversized"), texts),))

    def event(
        self, event: Event, tally: Tally, record: Record | None = None, index: int = 0, hits: list[Hit] | None = None
    ) -> list[Found]:
        """The findings of one event, equal secrets of one detector joined.

        Raises:
            UndecodableError: it holds more candidates than are looked at.
        """
        flat = Flat(event)
        # plain text is what was scanned already
        known = hits if record is not None and flat.data is record.value else None
        candidates, complete = self._scanner.candidates(flat.data, known)
        if not candidates:
            return []
        tally.candidates += len(candidates)
        judgement = score.judge(candidates, flat.data, event.origin.path, self._least)
        hiding = _Hiding(candidates, flat, event.origin)

        def where(place: Place) -> Location:
            return Location(
                topic=record.topic if record else None,
                partition=record.partition if record else 0,
                offset=record.offset if record else 0,
                event=index,
                field=hiding.field(place.text.field),
                line=place.line,
                column=place.column,
                envelope=event.origin.envelope or None,
                type=event.origin.type,
                **hiding.origin,
            )

        def drop(dropped: Dropped) -> None:
            tally.dropped[dropped.reason.value] += 1
            if self._on_dropped:
                self._on_dropped(dropped)
            wanted = self._audit and dropped.reason not in _TOLD_ELSEWHERE and len(tally.audit) < MOST_AUDITED
            if wanted and (place := flat.place(dropped.candidate.place)) is not None:
                tally.audit.append((dropped, where(place)))

        for dropped in judgement.dropped:
            drop(dropped)
        grouped: dict[tuple[str, bytes, str], Found] = {}
        for finding in judgement.findings:
            if finding.confidence.rank < self._least.rank:
                clause = f"its confidence is {finding.confidence}"
                drop(Dropped(finding.candidate, Reason.below_min_confidence, clause))
                continue
            place = flat.place(finding.candidate.place)
            if place is None:  # in a member's name, which is a text of its own
                continue
            key = (finding.candidate.detector.id, finding.candidate.secret.reveal(), finding.marker)
            earlier = grouped.get(key)
            if earlier is not None:
                grouped[key] = earlier._replace(occurrences=earlier.occurrences + 1)
                continue
            location = where(place)
            decided = self._policy.decide(finding, location) if self._policy else finding
            if isinstance(decided, Dropped):
                drop(decided)
                continue
            grouped[key] = Found(decided, location, 1, record.timestamp if record else -1)
        if not complete:
            raise UndecodableError("too_many_findings")
        return list(grouped.values())


def _is_sure(detector: Detector) -> bool:
    """True if what it finds is a secret whatever stands beside it."""
    return not detector.keywords and not detector.is_generic


def _sharing(item: Found, same: dict[tuple[object, ...], Finding]) -> Found:
    """The same with the object of an earlier finding that says the same of the same secret: a storm of them takes no room."""
    finding, candidate = item.finding, item.finding.candidate
    if finding.parts or finding.tags:
        return item
    told = (finding.confidence, finding.severity, finding.topic, candidate.encoding, *finding.reasons)
    return item._replace(finding=same.setdefault((candidate.detector.id, candidate.secret, *told), finding))


def _within(hits: Sequence[Hit], ends: Sequence[int], start: int, value: bytes | None) -> list[Hit]:
    """The hits that end in a value which begins at ``start``, by their place in it."""
    first, last = bisect_right(ends, start), bisect_right(ends, start + len(value or b""))
    return [(pattern, end - start) for pattern, end in hits[first:last]]


_TOLD: Final = ("repository", "ref", "commit", "path", "url", "author", "source", "host", "time")
"""What an event tells of its origin, in its producer's words: it may quote the secret, or another one."""


class _Hiding:
    """Keeps every candidate's secret of an event, also a dropped one's, out of what is told of the place."""

    def __init__(self, candidates: Sequence[Candidate], flat: Flat, origin: Origin) -> None:
        self._candidates = candidates
        self._flat = flat
        self._origin = origin
        self._fields: dict[str, str] = {}

    @cached_property
    def _masks(self) -> tuple[dict[str, str], dict[str, str]]:
        """What to put in the place of each secret as it is written: of all, and of those in members' names."""
        everywhere: dict[str, str] = {}
        in_names: dict[str, str] = {}
        for candidate in self._candidates:
            raw, span = candidate.secret.reveal(), candidate.place
            place = self._flat.place(span)
            forms = {form.decode("utf-8", "replace") for form in (raw, self._flat.data[span.start : span.end])}
            masks = dict.fromkeys(forms, redact(candidate.secret, candidate.detector.prefix_of(raw)))
            everywhere |= masks
            if place is not None and place.text.kind == "key":
                in_names |= masks
        return everywhere, in_names

    @cached_property
    def origin(self) -> dict[str, str | None]:
        """What the event tells of its origin, masked."""
        return {name: self._masked(getattr(self._origin, name), self._masks[0]) for name in _TOLD}

    def field(self, path: str) -> str:
        """The path of a string, masked: a secret may be the name of a member."""
        if path not in self._fields:
            self._fields[path] = self._masked(path, self._masks[1]) or ""
        return self._fields[path]

    @staticmethod
    def _masked(text: str | None, masks: Mapping[str, str]) -> str | None:
        if text:
            for secret in sorted((secret for secret in masks if secret in text), key=len, reverse=True):
                text = text.replace(secret, masks[secret])
        return text
