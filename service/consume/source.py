"""The consumer: what is fetched, assigned, revoked, committed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import IllegalStateError, KafkaError, TopicAlreadyExistsError

from service.consume import batches
from service.consume.access import connection, explained
from service.consume.batches import Slab
from service.consume.offsets import Offsets
from service.settings import Settings
from service.telemetry import logs
from service.telemetry.metrics import Metrics

_log = logs.get("consume")
MOST_SLABS: Final = 512
"""Slabs taken by one poll."""


async def create_topics(settings: Settings, topics: Iterable[str], compacted: Iterable[str] = ()) -> None:
    """Creates what is missing of the topics, where the broker allows it; on three brokers or more with three replicas.

    Args:
        settings: all of them.
        topics: those that are kept as the broker's defaults say.
        compacted: those that keep the last record of each key.

    Raises:
        SourceError: the broker cannot be reached.
    """
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        replicas = min(3, len((await admin.describe_cluster())["brokers"]))
        partitions = settings.consume.new_topic_partitions
        of_each: dict[str, dict[str, str]] = {name: {} for name in topics}
        of_each |= {name: {"cleanup.policy": "compact"} for name in compacted}
        for name, configuration in of_each.items():
            if name in existing:
                continue
            try:
                await admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=configuration)])
                _log.info("topic created", topic=name)
            except TopicAlreadyExistsError:
                pass
            except KafkaError as error:
                _log.warning("topic cannot be created", topic=name, error=type(error).__name__)
    except (KafkaError, OSError) as error:
        raise await explained(settings, error) from error
    finally:
        await admin.close()


class Source(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A member of the consumer group.

    Args:
        settings: all of them.
        offsets: what may be committed.
        metrics: the process's.
        drain: awaited on revocation: lets deliveries in flight finish, within its own time limit.
    """

    def __init__(self, settings: Settings, offsets: Offsets, metrics: Metrics, drain: Callable[[], Awaitable[None]]) -> None:
        self._settings = settings
        self._offsets = offsets
        self._metrics = metrics
        self._drain = drain
        self._paused = False
        self._last_commit = time.monotonic()
        self.joined = False
        self.leaves = False
        """Gives up its place in the group at the end, even one that ``kafka.group_instance_id`` would keep."""
        self.last_poll = time.monotonic()
        self._consumer: Any = None

    def take(self, settings: Settings) -> None:
        """Settings that count from now on."""
        self._settings = settings

    async def start(self) -> None:
        """Joins the group.

        Raises:
            SourceError: the broker does not let us in.
        """
        batches.install()
        kafka, consume = self._settings.kafka, self._settings.consume
        self._consumer = AIOKafkaConsumer(
            **connection(self._settings),
            group_id=kafka.group_id,
            group_instance_id=kafka.group_instance_id,
            client_rack=kafka.client_rack,
            session_timeout_ms=kafka.session_timeout_ms,
            heartbeat_interval_ms=kafka.heartbeat_interval_ms,
            max_poll_interval_ms=kafka.max_poll_interval_ms,
            metadata_max_age_ms=kafka.metadata_max_age_ms,
            rebalance_timeout_ms=kafka.session_timeout_ms,
            enable_auto_commit=False,
            auto_offset_reset=consume.start_at,
            isolation_level=consume.isolation,
            fetch_max_wait_ms=consume.fetch_max_wait_ms,
            fetch_max_bytes=consume.fetch_max_bytes,
            max_partition_fetch_bytes=consume.max_partition_fetch_bytes,
            value_deserializer=batches.WHOLE_BATCHES,
        )
        try:
            if consume.topic_pattern:
                own = "|".join(re.escape(topic) for topic in sorted(self._settings.own_topics))
                self._consumer.subscribe(pattern=f"(?!(?:{own})$)(?:{consume.topic_pattern})", listener=self)
            else:
                self._consumer.subscribe(consume.topics, listener=self)
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise await explained(self._settings, error) from error

    async def stop(self) -> None:
        """Commits what is done and leaves the group."""
        await self.commit(force=True)
        coordinator = getattr(self._consumer, "_coordinator", None)
        if self.leaves and coordinator is not None:
            coordinator._group_instance_id = None  # the library leaves only for members without one
        await self._consumer.stop()
        self.joined = False

    async def poll(self, timeout_ms: int = 200) -> list[Slab]:
        """What was fetched since, or nothing. An error of the broker is counted, and tried again."""
        self.last_poll = time.monotonic()
        try:
            fetched = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=MOST_SLABS)
        except KafkaError as error:
            self._metrics.count("sluice_consume_errors_total", error=type(error).__name__)
            _log.warning("fetching failed, trying again", error=type(error).__name__)
            await asyncio.sleep(1.0)
            return []
        return [slab for slabs in fetched.values() for slab in slabs]

    async def commit(self, force: bool = False) -> None:
        """Commits positions that moved, at most once an interval unless forced."""
        now = time.monotonic()
        if not force and (now - self._last_commit) * 1000 < self._settings.consume.commit_interval_ms:
            return
        due = self._offsets.due()
        assigned = self._consumer.assignment()
        positions = {TopicPartition(*p): offset for p, offset in due.items() if TopicPartition(*p) in assigned}
        self._last_commit = now
        self._update_lag(assigned)
        if not positions:
            return
        try:
            await self._consumer.commit(positions)
        except (KafkaError, IllegalStateError) as error:
            # the group moved on: whoever has the partition now begins at the last commit
            self._metrics.count("sluice_consume_errors_total", error=type(error).__name__)
            _log.warning("commit failed", error=type(error).__name__)
            return
        self._offsets.committed({(tp.topic, tp.partition): offset for tp, offset in positions.items()})
        self._metrics.set("sluice_consume_last_commit_timestamp_seconds", time.time())

    def pause(self, paused: bool) -> None:
        """Stops or resumes fetching; polling goes on."""
        assigned = self._consumer.assignment()
        if paused != self._paused and assigned:
            (self._consumer.pause if paused else self._consumer.resume)(*assigned)
        self._paused = paused

    def _update_lag(self, assigned: set[TopicPartition]) -> None:
        for tp in assigned:
            end = self._consumer.highwater(tp)
            done = self._offsets.position((tp.topic, tp.partition))
            if end is not None and done is not None:
                self._metrics.set("sluice_consume_lag_records", max(0, end - done), topic=tp.topic, partition=str(tp.partition))

    # -- called by aiokafka --------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Every rebalance revokes everything: what is in flight is drained and committed before the partitions go."""
        if revoked:
            await self._drain()
            await self.commit(force=True)
        self._offsets.forget()
        self._metrics.forget_lag()
        self._metrics.set("sluice_consume_assigned_partitions", 0)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """The group gave us partitions."""
        self.joined = True
        self._paused = False
        self._metrics.count("sluice_consume_rebalances_total")
        self._metrics.set("sluice_consume_assigned_partitions", len(assigned))
        _log.info("partitions assigned", count=len(assigned))


def producer(settings: Settings) -> AIOKafkaProducer:
    """A producer for alerts and dead letters, not yet started."""
    return AIOKafkaProducer(
        **connection(settings),
        acks="all",
        enable_idempotence=settings.kafka.idempotence,
        linger_ms=2,
        max_request_size=16 * 1024 * 1024,
        compression_type=None,
    )
