"""The way of the data, on one page.

    Kafka ─ consume ─ detect ⇄ decode ─ judge ─ sightings ─ Kafka ─ ledger ─ alerts ─ Kafka
            slabs     hits, candidates  findings    │
                                                  (probe): is it live?

One worker, one event loop. Scanning runs in a thread, since the engine lets go of the interpreter's lock; everything else
is here. An offset is committed when everything before it is delivered. The second half, from sightings to alerts, is
``service/ledger.py``; where repeats are not suppressed, the alerts are made here. What a provider says of a secret comes
later, as an answer beside the sightings, and holds nothing up.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import msgspec

from service import __version__
from service.consume import deadletter
from service.consume.batches import Slab
from service.inspection import Failure, Found, Inspected, Inspector, Tally
from service.publish import repeats
from service.publish.fingerprint import Fingerprinter
from service.publish.repeats import Answer, Rule, Sighting
from service.publish.schemas import audit, native
from service.publish.schemas.native import Alert
from service.publish.sinks.kafka import Message
from service.publish.verdicts import Kind, Verdicts
from service.records import Finding, Knowledge, Severity, Validity
from service.settings import Settings
from service.stage import Stage
from service.telemetry import logs
from service.telemetry.metrics import Metrics

_log = logs.get("pipeline")
INLINE_BYTES: Final = 32 * 1024
"""Less than this is scanned in the loop: handing it to the thread would take longer than scanning it."""
MOST_FOUND: Final = 2_000
"""Findings of one job, at about; what is left of a fetch comes after they are handed on. Bounds memory while a storm lasts."""

Ask = Callable[[Finding, str], None]
"""Takes a finding and its fingerprint, to ask the provider; returns at once."""


class Pipeline(Stage):
    """The loop of one worker, from events to sightings.

    ``knowledge`` gives what is known of a provider, for the next steps in the alerts; what ``asking`` gives, if anything, is
    given each finding and its fingerprint, and :meth:`validity` what comes of it; ``rule`` says what the rules of the settings
    make of that.
    """

    queue = "sightings"

    def __init__(
        self,
        settings: Settings,
        inspector: Callable[[], Inspector],
        fingerprinter: Fingerprinter,
        verdicts: Verdicts,
        metrics: Metrics,
        knowledge: Callable[[str], Knowledge | None] = lambda provider: None,
        asking: Callable[[], Ask | None] = lambda: None,
        rule: Rule | None = None,
    ) -> None:
        super().__init__(settings, metrics)
        self._inspector = inspector
        self._fingerprinter = fingerprinter
        self._verdicts = verdicts
        self._knowledge = knowledge
        self._asking = asking
        self._rule = rule
        self._latest: OrderedDict[str, Sighting] = OrderedDict()
        """Where repeats are not suppressed: the last sighting of each secret that is asked about."""
        self._audit = audit.Audit(settings.publish.audit_topic, fingerprinter)
        self._limit = deadletter.Limit(settings.dead_letters.max_ratio, settings.dead_letters.max_consecutive)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scan")

    def validity(
        self, fingerprint: str, validity: Validity, facts: Mapping[str, str], reason: str = "", at: float | None = None
    ) -> None:
        """Takes in what a provider says of a secret that was seen: the owner of the secret updates its alert.

        Args:
            fingerprint: the secret's.
            validity: what the provider says.
            facts: what else it told, such as the account; nothing that is secret.
            reason: one clause for people.
            at: when it was asked, in seconds since the epoch; now if None.
        """
        if self._settings.repeats.enabled:
            self._put_beside([Answer(fingerprint, validity, time.time() if at is None else at, reason, dict(facts))])
        elif (latest := self._latest.pop(fingerprint, None)) is not None:
            body = latest.alert
            body = body | {"validity": validity.value, "facts": body["facts"] | facts, "reasons": [*body["reasons"], reason]}
            body |= {"update": 1, "first_alert_id": body["alert_id"], "time": native.iso(time.time())}
            body["alert_id"] = self._fingerprinter.alert("update", body["alert_id"], validity.value)
            route = latest.route
            if self._rule is not None:
                ruling = self._rule(body, latest.judged or Severity(body["severity"]), validity)
                body, route = repeats.ruled(body, ruling), ruling.topic
            self._put_beside([msgspec.structs.replace(latest, alert=body, route=route)])

    async def run(self) -> None:
        """As every stage's; the scanning thread ends with it."""
        try:
            await super().run()
        finally:
            self._thread.shutdown(wait=False)

    async def _take(self, slabs: list[Slab]) -> None:
        generation = self.source.generation
        while slabs:
            inspected, tally = await self._inspect(slabs)
            slabs = slabs[len(inspected) :]
            if self.source.generation != generation:
                return  # revoked meanwhile: they come again, to whoever has them now
            self._count(inspected, tally)
            for dropped, place in tally.audit:
                self._audit.note(dropped.candidate, place, dropped.reason.value, dropped.clause)
            for slab, found, failures in inspected:
                sightings, seen = self._sightings(found, slab)
                letters = [self._letter(failure) for failure in failures]
                told = self._audit.taken(slab.topic, slab.partition)
                self._put((slab.topic, slab.partition), slab.next_offset, [*sightings, *letters, *told])
                self._probe(seen)
            self._limit.note(sum(one.slab.count for one in inspected), sum(_lost(one) for one in inspected))

    async def _inspect(self, slabs: list[Slab]) -> tuple[list[Inspected], Tally]:
        inspector = self._inspector()
        if sum(len(slab.data) for slab in slabs) <= INLINE_BYTES:
            return inspector.slabs(slabs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, inspector.slabs, slabs, MOST_FOUND)

    def _sightings(self, found: list[Found], slab: Slab) -> tuple[list[Sighting], list[tuple[Finding, Sighting]]]:
        """One for each secret and detector, or for each record where every alert is wanted; and the findings they are of."""
        sightings: list[Sighting] = []
        seen: list[tuple[Finding, Sighting]] = []
        earlier: dict[tuple[Any, ...], Sighting] = {}
        for item in found:
            finding, place = item.finding, item.location
            detector, confidence = finding.candidate.detector, finding.confidence.value
            self._metrics.count("sluice_judge_findings_total", detector=detector.id, confidence=confidence)
            key = (finding.candidate.secret, detector.id, confidence, finding.severity, finding.topic, *finding.tags)
            if self._settings.repeats.enabled and key in earlier:  # a storm: nothing is made anew for each record of it
                told, when = native.place_of(place), native.seen_at(place)
                earlier[key].again(place.offset, item.occurrences, item.timestamp, told, when)
                continue
            alert = native.render(
                finding,
                place,
                self._fingerprinter,
                item.occurrences,
                self._settings.publish.playbook_url,
                knowledge=self._knowledge(detector.provider),
            )
            counts = [(place.offset, 1, item.occurrences)]
            times = (item.timestamp, slab.timestamp)
            judged = None if finding.severity is detector.severity else detector.severity
            of = (alert.fingerprint, alert.body, slab.topic, slab.partition)
            earlier[key] = Sighting(*of, counts, *times, route=finding.topic, judged=judged)
            sightings.append(earlier[key])
            if detector.live is not None:
                seen.append((finding, earlier[key]))
        return sightings, seen

    def _probe(self, seen: Sequence[tuple[Finding, Sighting]]) -> None:
        """Has providers asked of what was handed on, unless a person said that it does not matter."""
        ask = self._asking()
        for finding, sighting in seen if ask is not None else ():
            verdict = self._verdicts.of(sighting.fingerprint, now := time.time())
            settled = verdict is not None and verdict.verdict is not Kind.revoked and verdict.silences("unchecked", now, now)
            if ask is None or settled:
                continue
            if not self._settings.repeats.enabled:
                self._latest[sighting.fingerprint] = sighting
                self._latest.move_to_end(sighting.fingerprint)
                if len(self._latest) > self._settings.probe.max_waiting:
                    self._latest.popitem(last=False)
            ask(finding, sighting.fingerprint)

    def _letter(self, failure: Failure) -> Message:
        record, topic = failure.record, self._settings.dead_letters.topic
        key, value, headers = deadletter.letter(record, failure.reason, failure.error, __version__)
        self._metrics.count("sluice_consume_dead_records_total", reason=failure.reason)
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        _log.warning("dead letter", reason=failure.reason, error=failure.error, **place)

        def bare() -> Message:
            return Message(topic, None, b"", deadletter.bare(record, failure.reason, failure.error, __version__))

        def without() -> Message:
            return Message(topic, key, b"" if key is None else None, [*headers, deadletter.LEFT_OUT], instead=bare)

        # larger than the topic takes: the place is kept, the payload stays where it is, and if need be key and headers too;
        # what has neither a key nor a value cannot be sent
        return Message(topic, key, b"" if key is None and value is None else value, headers, instead=without)

    def _compose(self, items: Sequence[Any]) -> tuple[list[Message], list[Message]]:
        letters = [item for item in items if isinstance(item, Message)]
        seen = [item for item in items if not isinstance(item, Message)]
        if not self._settings.repeats.enabled:
            return [*letters, *self._alerts(seen)], []
        topic = self._settings.sightings_topic
        for one in repeats.join(seen):
            place = (one.topic, one.partition, one.counts[0][0]) if isinstance(one, Sighting) else ("", 0, 0)
            instead = partial(self._rejected, one.fingerprint, place)
            letters.append(Message(topic, one.fingerprint.encode(), repeats.encode(one), instead=instead))
        return letters, []

    def _alerts(self, sightings: Sequence[Sighting]) -> list[Message]:
        """The direct way: an alert for each sighting."""
        messages = []
        for one in sightings:
            verdict = self._verdicts.of(one.fingerprint, now := time.time())
            if verdict is not None and verdict.silences(one.alert["validity"], now, now):
                self._metrics.count("sluice_judge_dropped_total", one.counts[0][2], reason=verdict.named)
                messages += self._audit.of_alert(one.alert, verdict.named, verdict.clause)
                continue
            body = one.alert if verdict is None else {**one.alert, "verdict": verdict.told()}
            alert = Alert(body["alert_id"], one.fingerprint, body["severity"], body)
            messages.append(self._alert(alert, one.since, one.route))
        return messages

    def _count(self, inspected: list[Inspected], tally: Tally) -> None:
        metrics = self._metrics
        for slab, _, _ in inspected:
            metrics.count("sluice_consume_records_total", slab.count, topic=slab.topic)
            metrics.count("sluice_consume_bytes_total", len(slab.data), topic=slab.topic)
        metrics.set("sluice_consume_in_flight_deliveries", self.in_flight)
        metrics.count("sluice_detect_bytes_total", tally.bytes)
        metrics.observe("sluice_detect_seconds", tally.seconds)
        metrics.count("sluice_detect_hit_records_total", tally.hit_records)
        metrics.count("sluice_detect_candidates_total", tally.candidates)
        for name, number in tally.envelopes.items():
            metrics.count("sluice_decode_events_total", number, envelope=name)
        for name, number in tally.dropped.items():
            metrics.count("sluice_judge_dropped_total", number, reason=name)


def _lost(inspected: Inspected) -> int:
    return inspected.slab.count if inspected.slab.broken else len(inspected.failures)
