"""The second half of the way, from sightings to alerts: one alert a secret.

    Kafka ─ sightings ─ repeats ─ alerts ─ Kafka
                           │
                         secrets (compacted: what is known of each)

Every worker reads some partitions of the sightings' topic, in a group of its own, and is the owner of the secrets in them.
Before it begins with a partition it reads what the former owner knew. Under at-least-once delivery an alert is safe before
the state that says so is written, and that before the sighting's offset is committed: what is cut off by a crash is done
again, with the same ``alert_id``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from service.consume import clients, source
from service.consume.access import connection
from service.consume.batches import Slab
from service.consume.offsets import Partition
from service.errors import SourceError
from service.publish import repeats
from service.publish.fingerprint import Fingerprinter
from service.publish.repeats import Answer, Outcome, Repeats, Rule
from service.publish.schemas import audit
from service.publish.sinks.kafka import Message
from service.publish.verdicts import Verdicts
from service.settings import Settings
from service.stage import Stage
from service.telemetry import logs
from service.telemetry.metrics import Metrics

_log = logs.get("ledger")
TICK_SECONDS: Final = 1.0
"""How often is looked for updates that have waited long enough."""


class Ledger(Stage):
    """The loop of one worker, from sightings to alerts. ``rule`` says what the rules of the settings make of an update."""

    queue = "alerts"

    def __init__(
        self,
        settings: Settings,
        fingerprinter: Fingerprinter,
        verdicts: Verdicts,
        metrics: Metrics,
        rule: Rule | None = None,
    ) -> None:
        super().__init__(settings, metrics, own=settings.sightings_topic)
        self._fingerprinter = fingerprinter
        self._verdicts = verdicts
        self._rule = rule
        self._audit = audit.Audit(settings.publish.audit_topic, fingerprinter)
        self._partitions = 1
        self._known: dict[int, Repeats] = {}
        self._read_to: dict[int, int] = {}
        """Of each partition in :attr:`_known`, how far the topic of secrets was read."""
        self._ticked = 0.0

    async def run(self) -> None:
        """As every stage's.

        Raises:
            SourceError: the topics of sightings and secrets are not there, or do not match.
        """
        self._partitions = await self._counted()
        await super().run()

    async def _counted(self) -> int:
        """The partitions of sightings, which have to be those of secrets."""
        sightings, secrets = self._settings.sightings_topic, self._settings.secrets_topic
        found: dict[str, int] = {}
        for _ in range(20):  # what was just created is not known everywhere at once
            found = await source.partitions(self._settings, (sightings, secrets))
            if all(found.values()):
                break
            await asyncio.sleep(0.25)
        if not found.get(sightings) or not found.get(secrets):
            missing = sightings if not found.get(sightings) else secrets
            raise SourceError(
                f"{missing}: the topic is missing and cannot be created; create {sightings} and {secrets}, the latter with"
                " cleanup.policy=compact, with the same number of partitions, or set repeats.enabled = false"
            )
        if found[sightings] != found[secrets]:
            raise SourceError(
                f"{secrets}: {found[sightings]} partitions expected, as {sightings} has, found {found[secrets]};"
                " add what is missing"
            )
        return found[sightings]

    async def _take(self, slabs: list[Slab]) -> None:
        now = time.time()
        for slab in slabs:
            outcomes: list[Outcome] = []
            known = self._known[slab.partition]
            for record, _ in slab.records():
                try:
                    one = repeats.decode(record.value or b"")
                except msgspec.MsgspecError:  # nobody but Sluice has to write here
                    _log.warning("a record is no sighting", topic=slab.topic, partition=slab.partition, offset=record.offset)
                    continue
                outcomes += known.answer(one, now) if isinstance(one, Answer) else known.see(one, now)
            self._put((slab.topic, slab.partition), slab.next_offset, self._told(outcomes, slab.partition))
        if not 0 <= now - self._ticked < TICK_SECONDS:
            self._ticked = now
            for partition, known in self._known.items():
                if outcomes := known.due(now):
                    self._put_between((self._settings.sightings_topic, partition), self._told(outcomes, partition))
            self._metrics.set("sluice_publish_secrets", sum(map(len, self._known.values())))

    def _told(self, outcomes: list[Outcome], partition: int) -> list[tuple[int, Outcome]]:
        for outcome in outcomes:
            if outcome.silenced:
                self._metrics.count("sluice_judge_dropped_total", outcome.occurrences, reason=outcome.silenced.reason)
        return [(partition, outcome) for outcome in outcomes]

    def _compose(self, items: Sequence[Any]) -> tuple[list[Message], list[Message]]:
        messages, states = [], {}
        for partition, outcome in items:
            if outcome.alert is not None:
                messages.append(self._alert(outcome.alert, outcome.since, outcome.route))
            if outcome.silenced:
                messages += self._audit.of_alert(outcome.body, *outcome.silenced)
            states[partition, outcome.fingerprint] = outcome.state  # the last one holds
        topic = self._settings.secrets_topic
        return messages, [
            Message(topic, fingerprint.encode(), state, partition=partition)
            for (partition, fingerprint), state in states.items()
        ]

    # -- what is known, and read again -------------------------------------------------------------------------------

    async def _drain(self) -> bool:
        drained = await super()._drain()
        if not drained:  # we know of alerts that were not sent: the topic of secrets does not
            self._known, self._read_to = {}, {}
        return drained

    async def _open(self, partitions: set[Partition]) -> None:
        await super()._open(partitions)
        wanted = {number for _, number in partitions}
        self._known = {number: known for number, known in self._known.items() if number in wanted}
        while True:
            try:
                await self._read(wanted)
                return
            except KafkaError as error:
                _log.warning("what is known of secrets cannot be read, trying again", error=type(error).__name__)
                await asyncio.sleep(1.0)

    async def _read(self, partitions: set[int]) -> None:
        """Reads the partitions of the topic of secrets up to a mark that is set now."""
        topic, began = self._settings.secrets_topic, time.monotonic()
        marks = {number: await self._delivery.mark(topic, number) for number in partitions}
        consumer = AIOKafkaConsumer(
            **connection(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if self._settings.publish.delivery == "exactly_once" else "read_uncommitted",
            fetch_max_wait_ms=self._settings.consume.fetch_max_wait_ms,
        )
        count = 0
        try:
            await consumer.start()
            consumer.assign([TopicPartition(topic, number) for number in partitions])
            for number in partitions & self._known.keys():
                consumer.seek(TopicPartition(topic, number), self._read_to[number])
            for number in partitions - self._known.keys():
                self._known[number] = self._repeats()
            left = set(partitions)
            while left:
                if (error := clients.fallen(consumer)) is not None:
                    raise clients.FallenError from error
                for tp, records in (await consumer.getmany(timeout_ms=500, max_records=1000)).items():
                    known = self._known[tp.partition]
                    count += len(records)
                    for record in records:
                        self._restore(known, record)
                    if records and records[-1].offset >= marks[tp.partition]:
                        left.discard(tp.partition)
        except BaseException:
            self._known, self._read_to = {}, {}
            raise
        finally:
            await clients.end(consumer)
        for number in partitions:
            self._known[number].restored()
            self._read_to[number] = marks[number]
        _log.info("known secrets read", records=count, seconds=round(time.monotonic() - began, 3))

    def _restore(self, known: Repeats, record: Any) -> None:
        if not record.key:
            return
        try:
            known.restore(record.key.decode("ascii", "replace"), record.value)
        except msgspec.MsgspecError:
            _log.warning("a record is no state", topic=record.topic, partition=record.partition, offset=record.offset)

    def _repeats(self) -> Repeats:
        wanted = self._settings.repeats
        share = -(-wanted.most_secrets // self._partitions)
        window, interval = wanted.window_seconds, wanted.update_interval_seconds
        return Repeats(window, interval, share, self._verdicts.of, self._fingerprinter.alert, self._rule)
