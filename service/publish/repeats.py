"""One alert a secret, however often and by however many workers it is seen.

Workers write *sightings* to an internal topic, keyed by fingerprint, so that each secret has one owner: the worker to
which the group gave its partition. The owner keeps what is *known* of every secret it saw lately, sends the first alert
at once, and then an update at most every interval, unless there is better evidence or the provider's word has changed:
those go at once. What it knows it writes to a compacted topic, from which the next owner reads it.

A sighting says at which offsets of its source its secret stands. The owner remembers, for each partition of a source, how
far it counted: what comes again after a crash is not counted again. Everything here is pure; ``service/ledger.py`` moves
it between topics.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from service.publish.schemas.native import Alert, iso
from service.publish.verdicts import Kind, Verdict
from service.records import Confidence, Ruling, Severity, Validity

MOST_PLACES: Final = 3
"""Places of a secret that its alerts name."""
MOST_COUNTED: Final = 256
"""Partitions of sources of which is kept how far a secret was counted."""
_encode: Final = msgspec.json.Encoder().encode
Rule = Callable[[Mapping[str, Any], Severity, Validity], Ruling]
"""What the rules of the settings make of an alert's body, given its severity before any rule and what the provider says."""


class Sighting(msgspec.Struct, tag="sighting", tag_field="kind", omit_defaults=True):
    """A secret, seen in some neighbouring records of one partition of a source.

    ``alert`` is the body of the alert that it would be alone; ``counts`` are runs of records: the first one's offset, how
    many, and how often the secret stands in each. ``newest`` is the latest time of those records, ``since`` the earliest
    of what they were fetched with; both in milliseconds since the epoch.
    """

    fingerprint: str
    alert: dict[str, Any]
    topic: str
    partition: int
    counts: list[tuple[int, int, int]]
    newest: int = -1
    since: int = -1
    places: list[dict[str, Any]] = []
    route: str | None = None
    """The topic of its alerts, where it is not the usual one."""
    judged: Severity | None = None
    """Its severity before any rule, where a rule changed it."""

    def again(self, offset: int, occurrences: int, newest: int, place: dict[str, Any], seen: str) -> None:
        """The same evidence of the same secret in a later record."""
        self._count((offset, 1, occurrences))
        self.newest = max(self.newest, newest)
        self.alert["last_seen"] = seen
        _add_places(self.places, [place])

    def _count(self, run: tuple[int, int, int]) -> None:
        first, records, each = run
        offset, before, so_many = self.counts[-1]
        if each == so_many and first == offset + before:
            self.counts[-1] = (offset, before + records, each)
        else:
            self.counts.append(run)

    def add(self, other: Sighting) -> None:
        """Takes in a later sighting of the same secret in the same partition."""
        for run in other.counts:
            self._count(run)
        self.newest = max(self.newest, other.newest)
        _add_places(self.places, [other.alert["location"], *other.places])
        if _evidence(other.alert) > _evidence(self.alert):
            first_seen = self.alert["first_seen"]
            self.alert, self.route, self.judged = other.alert, other.route, other.judged
            self.alert["first_seen"] = first_seen
        self.alert["last_seen"] = other.alert["last_seen"]


class Answer(msgspec.Struct, tag="validity", tag_field="kind", omit_defaults=True):
    """What the provider says of a secret. ``at`` is when it was asked, in seconds since the epoch."""

    fingerprint: str
    validity: Validity
    at: float
    reason: str = ""
    facts: dict[str, str] = {}


class Known(msgspec.Struct, omit_defaults=True):
    """What is known of a secret. Times are in seconds since the epoch."""

    alert: dict[str, Any]
    """The body with the best evidence so far."""
    first_id: str
    occurrences: int = 0
    places: list[dict[str, Any]] = []
    counted: dict[str, dict[int, tuple[int, int]]] = {}
    """Topic and partition of a source to the highest offset that was counted, and the latest time."""
    seen: float = 0.0
    update: int = -1
    """Of the alert sent last; -1: none was."""
    sent: float = 0.0
    sent_occurrences: int = 0
    validity: Validity = Validity.unchecked
    asked: float = 0.0
    """When the provider was last asked."""
    answer: str = ""
    facts: dict[str, str] = {}
    route: str | None = None
    judged: Severity | None = None
    told: Validity = Validity.unchecked
    """What the alert sent last said of the provider's word."""
    silenced: float = 0.0
    """When it was last seen and a verdict or a rule kept it back."""

    def count(self, sighting: Sighting) -> int:
        """Counts what was not counted yet of a sighting; the number of occurrences."""
        partitions = self.counted.setdefault(sighting.topic, {})
        offset, newest = partitions.pop(sighting.partition, (-1, -1))
        last = max(first + records - 1 for first, records, _ in sighting.counts)
        if last <= offset and sighting.newest > newest:
            offset = -1  # older offsets with newer records: the topic was made anew
        fresh = 0
        for first, records, each in sighting.counts:
            fresh += each * max(0, first + records - max(first, offset + 1))
        partitions[sighting.partition] = (max(offset, last), max(newest, sighting.newest))
        if len(partitions) > MOST_COUNTED:
            del partitions[next(iter(partitions))]
        self.occurrences += fresh
        return fresh


class Silenced(NamedTuple):
    """Why an alert is not sent: the reason, of a closed list, and a clause for people."""

    reason: str
    clause: str


class Outcome(NamedTuple):
    """What follows from a record: an alert to send, the state to keep (None: to forget), or why there is silence."""

    fingerprint: str
    alert: Alert | None
    state: bytes | None
    silenced: Silenced | None = None
    body: dict[str, Any] | None = None
    """Of the alert that is silenced."""
    occurrences: int = 0
    """How many are silenced."""
    since: int = -1
    route: str | None = None


class Repeats:
    """The secrets of one partition of sightings.

    Args:
        window: seconds without a sighting after which a secret counts as new.
        interval: seconds between updates, at the least.
        most: secrets that are kept; of more, those are forgotten that were not seen for the longest time.
        verdict: the verdict that holds for a fingerprint at a time.
        update_id: makes the id of an update from what it says.
        rule: what the rules of the settings make of an alert; None where there are none.
    """

    def __init__(
        self,
        window: float,
        interval: float,
        most: int,
        verdict: Callable[[str, float], Verdict | None],
        update_id: Callable[..., str],
        rule: Rule | None = None,
    ) -> None:
        self._window = window
        self._interval = interval
        self._most = most
        self._verdict = verdict
        self._update_id = update_id
        self._rule = rule
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._due: list[tuple[float, str]] = []
        self._waiting: set[str] = set()
        self._asked_due = math.inf

    def __len__(self) -> int:
        return len(self._known)

    def restore(self, fingerprint: str, state: bytes | None) -> None:
        """Takes in a state that was kept.

        Raises:
            msgspec.MsgspecError: it is none.
        """
        self._known.pop(fingerprint, None)
        if state is None:
            return
        known = _states.decode(state)
        self._known[fingerprint] = state
        if known.occurrences > known.sent_occurrences:
            self._wait(fingerprint, known.sent + self._interval)

    def restored(self) -> None:
        """All was taken in: what was seen last stands last again."""
        seen = {fingerprint: _states.decode(state).seen for fingerprint, state in self._known.items()}
        self._known = OrderedDict(sorted(self._known.items(), key=lambda item: seen[item[0]]))

    def see(self, sighting: Sighting, now: float) -> list[Outcome]:
        """A secret was seen."""
        fingerprint = sighting.fingerprint
        known = self._get(fingerprint)
        if known is None or now - known.seen > self._window:
            counted = known.counted if known is not None else {}
            known = Known(sighting.alert, sighting.alert["alert_id"], counted=counted, route=sighting.route)
            known.judged = sighting.judged
            _add_places(known.places, [sighting.alert["location"]])
        fresh = known.count(sighting)
        if not fresh:
            return []
        known.seen = now
        _add_places(known.places, [sighting.alert["location"], *sighting.places])
        first_seen, last_seen = known.alert["first_seen"], sighting.alert["last_seen"]
        better = _evidence(sighting.alert) > _evidence(known.alert)
        if better:
            known.alert, known.route, known.judged = sighting.alert, sighting.route, sighting.judged
        known.alert |= {"first_seen": first_seen, "last_seen": last_seen}
        return [*self._settle(fingerprint, known, now, better, fresh, sighting.since), *self._forget(now)]

    def answer(self, answer: Answer, now: float) -> list[Outcome]:
        """The provider was asked of a secret."""
        known = self._get(answer.fingerprint)
        if known is None or answer.at < known.asked:
            return []
        if answer.validity is Validity.unknown and known.validity in (Validity.active, Validity.inactive):
            return []  # that nobody could tell this time takes nothing back
        verdict = self._verdict(answer.fingerprint, now)
        changed = answer.validity != known.validity
        if verdict is not None and verdict.verdict is Kind.revoked and known.asked <= verdict.at < answer.at:
            changed = changed or answer.validity is Validity.active  # it works still
        known.validity, known.asked, known.answer, known.facts = answer.validity, answer.at, answer.reason, answer.facts
        return self._settle(answer.fingerprint, known, now, changed, 0, -1)

    def due(self, now: float) -> list[Outcome]:
        """The updates that have waited for their interval."""
        outcomes: list[Outcome] = []
        if now < self._asked_due:  # the clock was set back: nothing waits longer than an interval
            self._due = [(min(until, now + self._interval), fingerprint) for until, fingerprint in self._due]
            heapq.heapify(self._due)
        self._asked_due = now
        while self._due and self._due[0][0] <= now:
            _, fingerprint = heapq.heappop(self._due)
            self._waiting.discard(fingerprint)
            known = self._get(fingerprint)
            if known is not None and known.occurrences > known.sent_occurrences:
                outcomes += self._settle(fingerprint, known, now, False, 0, -1)
        return outcomes

    def _get(self, fingerprint: str) -> Known | None:
        state = self._known.get(fingerprint)
        return None if state is None else _states.decode(state)

    def _settle(self, fingerprint: str, known: Known, now: float, urgent: bool, fresh: int, since: int) -> list[Outcome]:
        """Sends, waits or keeps silent; in any case the state is kept."""
        verdict = self._verdict(fingerprint, now)
        more = known.occurrences > known.sent_occurrences
        alert = silenced = None
        if verdict is not None and verdict.silences(known.validity, known.asked, now):
            silenced = Silenced(verdict.named, verdict.clause)
        elif known.update < 0 or urgent or (more and not 0 <= now - known.sent < self._interval):
            ruling = self._ruling(known)
            if ruling.dropped and (known.update < 0 or known.told is known.validity):
                silenced = Silenced("dropped_by_rule", ruling.dropped)
            else:
                known.update += 1
                known.sent, known.sent_occurrences, known.told = now, known.occurrences, known.validity
                alert = self._alert(known, verdict, ruling, now)
                known.route = ruling.topic
        elif more:
            self._wait(fingerprint, known.sent + self._interval)
        if silenced is not None and fresh:
            known.silenced = now
        state = _encode(known)
        self._known[fingerprint] = state
        self._known.move_to_end(fingerprint)
        body = {**known.alert, "validity": known.validity.value} if silenced else None
        return [Outcome(fingerprint, alert, state, silenced, body, fresh, since, known.route)]

    def _wait(self, fingerprint: str, until: float) -> None:
        if fingerprint not in self._waiting:
            self._waiting.add(fingerprint)
            heapq.heappush(self._due, (until, fingerprint))

    def _forget(self, now: float) -> list[Outcome]:
        """Drops what there is no room for, and what was not seen within the window."""
        forgotten: list[Outcome] = []
        while self._known:
            oldest = next(iter(self._known))
            known = self._get(oldest)
            if len(self._known) <= self._most and (known is None or now - known.seen <= self._window):
                break
            del self._known[oldest]
            forgotten.append(Outcome(oldest, None, None))
        return forgotten

    def _ruling(self, known: Known) -> Ruling:
        severity = known.judged or Severity(known.alert["severity"])
        if self._rule is None:
            return Ruling(severity, tuple(known.alert.get("tags", ())), known.route)
        return self._rule(known.alert, severity, known.validity)

    def _alert(self, known: Known, verdict: Verdict | None, ruling: Ruling, now: float) -> Alert:
        body = ruled(known.alert, ruling)
        said: list[Any] = [known.occurrences, known.validity, body["confidence"], body["severity"]]
        body |= {
            "time": iso(now),
            "occurrences": known.occurrences,
            "places": known.places,
            "first_alert_id": known.first_id,
            "update": known.update,
        }
        if known.asked:
            body["validity"] = known.validity.value
            body["facts"] = {**body.get("facts", {}), **known.facts}
            if known.answer:
                body["reasons"] = [*body.get("reasons", ()), known.answer]
        if verdict is not None:
            body["verdict"] = verdict.told()
            said += [verdict.verdict, verdict.at]
        body["alert_id"] = self._update_id("update", known.first_id, *said) if known.update else known.first_id
        return Alert(body["alert_id"], body["secret"]["fingerprint"], body["severity"], body)


_states: Final = msgspec.json.Decoder(Known)
_records: Final[msgspec.json.Decoder[Sighting | Answer]] = msgspec.json.Decoder(Sighting | Answer)


def encode(record: Sighting | Answer) -> bytes:
    """The value of a record of the sightings' topic."""
    return _encode(record)


def decode(value: bytes) -> Sighting | Answer:
    """Reads it back.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _records.decode(value)


def ruled(body: Mapping[str, Any], ruling: Ruling) -> dict[str, Any]:
    """An alert's body after the rules."""
    told = {**body, "severity": ruling.severity.value, "tags": list(ruling.tags)}
    return told | {"remediation": {**body["remediation"], "steps": list(ruling.steps)}} if ruling.steps else told


def last_silenced(state: bytes) -> str | None:
    """When a secret was last seen and not told of; None if all that was seen was told.

    Raises:
        msgspec.MsgspecError: the state is none.
    """
    known = _states.decode(state)
    return iso(known.silenced) if known.silenced else None


def join(sightings: Iterable[Sighting | Answer]) -> list[Sighting | Answer]:
    """Joins what neighbours: one sighting for each secret and partition of a source, in the order of the first."""
    joined: dict[tuple[str, str, int], Sighting] = {}
    answers: list[Sighting | Answer] = []
    for one in sightings:
        if isinstance(one, Answer):
            answers.append(one)
            continue
        earlier = joined.setdefault((one.fingerprint, one.topic, one.partition), one)
        if earlier is not one:
            earlier.add(one)
    return [*joined.values(), *answers]


def _evidence(body: Mapping[str, Any]) -> tuple[int, int]:
    return Confidence(body["confidence"]).rank, Severity(body["severity"]).rank


def _add_places(places: list[dict[str, Any]], more: Sequence[dict[str, Any]]) -> None:
    """Adds places that are others than those already there, up to :data:`MOST_PLACES`."""
    for place in more:
        if len(places) >= MOST_PLACES:
            return
        if all(_where(place) != _where(other) for other in places):
            places.append(place)


def _where(place: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells one place from another; the same line in another commit is the same place."""
    return tuple(place.get(name) for name in ("topic", "repository", "path", "source", "host", "field"))
