"""The way of the data, on one page.

    Kafka ─ consume ─ detect ⇄ decode ─ judge ─ publish ─ Kafka
            slabs     hits, candidates  findings  alerts

One worker, one event loop. Scanning runs in a thread, since the engine lets go of the interpreter's lock; everything else
is here. An offset is committed when everything before it is delivered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from service import __version__
from service.consume import deadletter
from service.consume.batches import Slab
from service.consume.offsets import Offsets, Work
from service.consume.source import Source
from service.errors import SinkRejectedError
from service.inspection import Failure, Found, Inspected, Inspector, Tally
from service.publish.delivery import Delivery
from service.publish.fingerprint import Fingerprinter
from service.publish.schemas import native
from service.publish.sinks import kafka
from service.publish.verdicts import Verdicts
from service.records import Knowledge
from service.settings import Settings
from service.telemetry import logs
from service.telemetry.metrics import Metrics

_log = logs.get("pipeline")
INLINE_BYTES: Final = 32 * 1024
"""Less than this is scanned in the loop: handing it to the thread would take longer than scanning it."""


class Pipeline:
    """The loop of one worker. :meth:`run` goes on until :meth:`stop`, or until something makes going on wrong.

    ``knowledge`` gives what is known of a provider, for the next steps in the alerts.
    """

    def __init__(
        self,
        settings: Settings,
        inspector: Callable[[], Inspector],
        fingerprinter: Fingerprinter,
        verdicts: Verdicts,
        producer: Any,
        metrics: Metrics,
        knowledge: Callable[[str], Knowledge | None] = lambda provider: None,
    ) -> None:
        self._settings = settings
        self._inspector = inspector
        self._fingerprinter = fingerprinter
        self._verdicts = verdicts
        self._producer = producer
        self._metrics = metrics
        self._knowledge = knowledge
        self._offsets = Offsets()
        self._delivery = Delivery(kafka.KafkaSink(producer, settings.publish.topic), kafka.NAME, metrics)
        self._limit = deadletter.Limit(settings.dead_letters.max_ratio, settings.dead_letters.max_consecutive)
        self._stopping = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scan")
        self.source = Source(settings, self._offsets, metrics, self._drain)

    def use(self, inspector: Callable[[], Inspector]) -> None:
        """Swaps the inspector, between two fetches: how new detectors come in."""
        self._inspector = inspector

    def take(self, settings: Settings) -> None:
        """Settings that count from the next fetch on; only those that can change while the service runs differ."""
        self._settings = settings
        self.source.take(settings)

    def stop(self) -> None:
        """Asks the loop to end: it drains, commits and leaves the group."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """True once :meth:`stop` was called."""
        return self._stopping.is_set()

    @property
    def sink_reachable(self) -> bool:
        """False while the last delivery failed."""
        return self._delivery.reachable

    async def run(self) -> None:
        """Takes, scans, judges and hands on, until told to stop.

        Raises:
            TooManyDeadLettersError: the limit of dead letters is passed.
            SourceError: the broker does not let us in.
        """
        await self.source.start()
        try:
            while not self._stopping.is_set():
                slabs = await self.source.poll()
                if slabs:
                    inspected, tally = await self._inspect(slabs)
                    self._publish(inspected, tally)
                await self.source.commit()
                await self._hold_back()
        finally:
            await self._drain()
            self._delivery.abandon()
            await self.source.stop()
            self._thread.shutdown(wait=False)

    async def _inspect(self, slabs: list[Slab]) -> tuple[list[Inspected], Tally]:
        inspector = self._inspector()
        if sum(len(slab.data) for slab in slabs) <= INLINE_BYTES:
            return inspector.slabs(slabs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, inspector.slabs, slabs)

    def _publish(self, inspected: list[Inspected], tally: Tally) -> None:
        letters = records = 0
        for slab, found, failures in inspected:
            partition = (slab.topic, slab.partition)
            work = self._offsets.begin(partition, slab.next_offset, len(found) + len(failures))
            for item in found:
                self._alert(item, slab, work)
            for failure in failures:
                self._dead_letter(failure, partition, work)
            letters += slab.count if slab.broken else len(failures)
            records += slab.count
        self._count(inspected, tally)
        self._limit.note(records, letters)

    def _alert(self, item: Found, slab: Slab, work: Work | None) -> None:
        detector = item.finding.candidate.detector
        alert = native.render(
            item.finding,
            item.location,
            self._fingerprinter,
            item.occurrences,
            self._settings.publish.playbook_url,
            knowledge=self._knowledge(detector.provider),
        )
        self._metrics.count("sluice_judge_findings_total", detector=detector.id, confidence=item.finding.confidence.value)

        verdict = self._verdicts.of(alert.fingerprint, now := time.time())
        if verdict is not None:
            if verdict.silences(item.finding.validity, now, now):
                self._metrics.count("sluice_judge_dropped_total", reason=f"verdict_{verdict.verdict}")
                self._finish(slab.topic, slab.partition, work)
                return
            alert.body["verdict"] = verdict.told()

        async def rejected() -> None:
            await self._send_letter(None, alert.fingerprint.encode(), [("sluice.reason", b"alert_rejected")])

        def done() -> None:
            if slab.timestamp > 0:
                self._metrics.observe("sluice_publish_end_to_end_seconds", max(0.0, time.time() - slab.timestamp / 1000))
            self._finish(slab.topic, slab.partition, work)

        self._delivery.alert(alert, rejected, done)

    def _dead_letter(self, failure: Failure, partition: tuple[str, int], work: Work | None) -> None:
        key, value, headers = deadletter.letter(failure.record, failure.reason, failure.error, __version__)
        self._metrics.count("sluice_consume_dead_records_total", reason=failure.reason)
        _log.warning(
            "dead letter",
            reason=failure.reason,
            error=failure.error,
            topic=partition[0],
            partition=partition[1],
            offset=failure.record.offset,
        )

        async def attempt() -> None:
            try:
                await self._send_letter(value, key, headers)
            except SinkRejectedError:  # larger than the topic takes: the place is kept, the payload stays in its topic
                await self._send_letter(None, key, [*headers, ("sluice.payload", b"left out: too large")])

        self._delivery.run(attempt, lambda: self._finish(*partition, work))

    async def _send_letter(self, value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
        await kafka.send(self._producer, self._settings.dead_letters.topic, key, value, headers)

    def _finish(self, topic: str, partition: int, work: Work | None) -> None:
        if work is not None:
            self._offsets.finish((topic, partition), work)

    async def _hold_back(self) -> None:
        """Fetches nothing while too much is in flight, but keeps polling, so that the group keeps us."""
        self._metrics.set("sluice_consume_in_flight_deliveries", self._delivery.in_flight)
        if self._delivery.in_flight <= self._settings.consume.max_in_flight:
            return
        began = time.monotonic()
        self.source.pause(True)
        while self._delivery.in_flight > self._settings.consume.max_in_flight // 2 and not self._stopping.is_set():
            slabs = await self.source.poll(50)
            if slabs:  # fetched before the pause
                self._publish(*await self._inspect(slabs))
            await self.source.commit()
        self.source.pause(False)
        self._metrics.count("sluice_consume_paused_seconds_total", time.monotonic() - began)

    async def _drain(self) -> None:
        if not await self._delivery.drain(self._settings.consume.drain_timeout_ms / 1000):
            _log.warning("deliveries not finished in time, they will come again", count=self._delivery.in_flight)

    def _count(self, inspected: list[Inspected], tally: Tally) -> None:
        metrics = self._metrics
        oldest = time.time()
        for slab, _, _ in inspected:
            metrics.count("sluice_consume_records_total", slab.count, topic=slab.topic)
            metrics.count("sluice_consume_bytes_total", len(slab.data), topic=slab.topic)
            oldest = min(oldest, slab.timestamp / 1000) if slab.timestamp > 0 else oldest
        metrics.set("sluice_consume_oldest_record_age_seconds", max(0.0, time.time() - oldest))
        metrics.count("sluice_detect_bytes_total", tally.bytes)
        metrics.observe("sluice_detect_seconds", tally.seconds)
        metrics.count("sluice_detect_hit_records_total", tally.hit_records)
        metrics.count("sluice_detect_candidates_total", tally.candidates)
        for name, number in tally.envelopes.items():
            metrics.count("sluice_decode_events_total", number, envelope=name)
        for name, number in tally.dropped.items():
            metrics.count("sluice_judge_dropped_total", number, reason=name)
