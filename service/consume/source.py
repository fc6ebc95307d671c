"""The consumer: what is fetched, assigned, revoked, committed."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from service.consume import batches, clients
from service.consume.access import connection, explained
from service.consume.batches import Slab
from service.consume.identity import Identity
from service.consume.lag import Lag
from service.consume.offsets import Offsets, Partition
from service.consume.pressure import Pressure
from service.settings import Settings
from service.telemetry import logs
from service.telemetry.metrics import Metrics

_log = logs.get("consume")
COMPACTED: Final = {"cleanup.policy": "compact", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.2"}
OWN_WAIT_MS: Final = 20
"""How long a fetch of our own topic waits: a partition that was handed out meanwhile has to wait for its end."""
LOOKED_EVERY_SECONDS: Final = 5.0
"""How often is looked whether the topics are still the same ones; with each refresh of metadata where that is more often."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
"""Between one attempt to make the consumer anew and the next."""
STABLE_SECONDS: Final = 60.0
"""A consumer that went on for so long is made anew after the first pause."""
START_SECONDS: Final = 60.0
"""How long a consumer that is made anew may take to join, at least."""
ASSIGNED_SECONDS: Final = 1.0
"""How much longer than asked a poll may take while the group deals out its partitions."""
ANSWER_SECONDS: Final = 5.0
"""How long a commit or a question may take; the library would try for as long as the broker is away. It comes again."""
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
        of_each |= dict.fromkeys(compacted, COMPACTED)
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
        await clients.end(admin)


async def partitions(settings: Settings, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each of these topics has; 0 where there is no such topic.

    Raises:
        SourceError: the broker cannot be reached.
    """
    wanted = dict.fromkeys(topics, 0)
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        there = wanted.keys() & set(await admin.list_topics())  # describing another one would create it
        for topic in await admin.describe_topics(sorted(there)) if there else ():
            wanted[topic["topic"]] = len(topic["partitions"])
    except (KafkaError, OSError) as error:
        raise await explained(settings, error) from error
    finally:
        await clients.end(admin)
    return wanted


class Source(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A member of the consumer group.

    Args:
        settings: all of them.
        offsets: what may be committed.
        metrics: the process's.
        drain: awaited on revocation: lets deliveries in flight finish, within its own time limit.
        own: a topic of ours that is read; None for those that ``consume`` names.
        isolation: None for ``consume.isolation``.
        opening: awaited, beside the polling, before anything of newly assigned partitions is handed on, which then begins
            at the offset that is committed by then.
        closing: awaited when partitions were revoked, after the drain.
        advance: commits in the consumer's place, some time soon.
    """

    def __init__(
        self,
        settings: Settings,
        offsets: Offsets,
        metrics: Metrics,
        drain: Callable[[], Awaitable[Any]],
        *,
        own: str | None = None,
        isolation: str | None = None,
        opening: Callable[[set[Partition]], Awaitable[None]] | None = None,
        closing: Callable[[], Awaitable[None]] | None = None,
        advance: Callable[[dict[Partition, int]], None] | None = None,
    ) -> None:
        self._settings = settings
        self._offsets = offsets
        self._metrics = metrics
        self._drain = drain
        self._own = own
        self._lag = Lag(offsets, metrics, ages=own is None)
        self.group = settings.kafka.group_id if own is None else settings.repeats_group
        self._isolation = isolation or settings.consume.isolation
        self._opening = opening
        self._closing = closing
        self._advance = advance
        self._being_opened: asyncio.Task[None] | None = None
        self._open: set[TopicPartition] = set()
        self._paused = False
        self._pressure = Pressure(settings.consume.max_partition_fetch_bytes, settings.consume.max_fetched_bytes)
        self._identity = Identity()
        self._looked = time.monotonic()
        self._last_commit = time.monotonic()
        self.joined = False
        self.leaves = False
        """Gives up its place in the group at the end, even one that ``kafka.group_instance_id`` would keep."""
        self.generation = 0
        """Counts revocations: what was taken before one is no longer ours."""
        self.last_poll = time.monotonic()
        self._consumer: Any = None
        self._fault: Exception | None = None
        """What went wrong where the library called us, which would only log it."""
        self._renewing: asyncio.Task[None] | None = None
        self._renewed = -math.inf
        self._pause_seconds = FIRST_PAUSE_SECONDS

    def take(self, settings: Settings) -> None:
        """Settings that count from now on."""
        self._settings = settings

    async def start(self) -> None:
        """Joins the group.

        Raises:
            SourceError: the broker does not let us in.
        """
        batches.install()
        try:
            await self._connect()
        except (KafkaError, OSError) as error:
            await clients.end(self._consumer)
            raise await explained(self._settings, error) from error

    async def _connect(self) -> None:
        kafka, consume = self._settings.kafka, self._settings.consume
        self._consumer = AIOKafkaConsumer(
            **connection(self._settings),
            group_id=self.group,
            group_instance_id=kafka.group_instance_id,
            client_rack=kafka.client_rack,
            session_timeout_ms=kafka.session_timeout_ms,
            heartbeat_interval_ms=kafka.heartbeat_interval_ms,
            max_poll_interval_ms=kafka.max_poll_interval_ms,
            metadata_max_age_ms=kafka.metadata_max_age_ms,
            rebalance_timeout_ms=kafka.session_timeout_ms,
            enable_auto_commit=False,
            auto_offset_reset="earliest" if self._own else consume.start_at,
            isolation_level=self._isolation,
            fetch_max_wait_ms=min(OWN_WAIT_MS, consume.fetch_max_wait_ms) if self._own else consume.fetch_max_wait_ms,
            fetch_max_bytes=consume.fetch_max_bytes,
            max_partition_fetch_bytes=consume.max_partition_fetch_bytes,
            value_deserializer=batches.WHOLE_BATCHES,
        )
        self.join()
        await self._consumer.start()

    async def _renew(self, error: BaseException) -> None:
        """Puts another consumer in the place of one that has fallen, however long that takes."""
        self._metrics.count("sluice_consume_errors_total", error=type(error).__name__)
        _log.warning("the consumer has fallen, making another one", group=self.group, error=type(error).__name__)
        self.joined = False
        await clients.halt(self._consumer)
        await self.on_partitions_revoked(self._consumer.assignment())
        await clients.end(self._consumer)
        began = time.monotonic()
        while True:
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
            if began - self._renewed > STABLE_SECONDS:
                self._pause_seconds = FIRST_PAUSE_SECONDS
            self._renewed = time.monotonic()
            await asyncio.sleep(self._pause_seconds)
            try:
                async with asyncio.timeout(max(START_SECONDS, 3 * self._settings.kafka.session_timeout_ms / 1000)):
                    await self._connect()
                return
            except (KafkaError, OSError, TimeoutError) as failure:
                self._metrics.count("sluice_consume_errors_total", error=type(failure).__name__)
                _log.warning("joining failed, trying again", group=self.group, error=type(failure).__name__)
                await self._end_opening()
                await clients.end(self._consumer)

    def join(self) -> None:
        """Asks the group for partitions; once more, gives all back first."""
        consume = self._settings.consume
        if self._own:
            self._consumer.subscribe([self._own], listener=self)
        elif consume.topic_pattern:
            own = "|".join(re.escape(topic) for topic in sorted(self._settings.own_topics))
            self._consumer.subscribe(pattern=f"(?!(?:{own})$)(?:{consume.topic_pattern})", listener=self)
        else:
            self._consumer.subscribe(consume.topics, listener=self)

    async def stop(self) -> None:
        """Commits what is done and leaves the group; within a bound, whether or not the broker answers."""
        if self._consumer is None:
            return
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._end_opening()
        try:
            if not self._consumer._closed:  # as it is while another one is made
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ANSWER_SECONDS + self._settings.consume.drain_timeout_ms / 1000):
                        await self.commit(force=True)
            if self._closing:
                await self._closing()
        finally:
            coordinator = getattr(self._consumer, "_coordinator", None)
            if self.leaves and coordinator is not None:
                coordinator._group_instance_id = None  # the library leaves only for members without one
            await clients.end(self._consumer)
            self.joined = False

    async def poll(self, timeout_ms: int = 200) -> list[Slab]:
        """What was fetched since, or nothing. An error of the broker is counted, and tried again.

        A consumer that does not go on is given up, as if its partitions had been revoked, and another one made.

        Raises:
            Exception: a fault of ours, after which nothing would be right any more.
        """
        self.last_poll = time.monotonic()
        if self._fault is not None:
            raise self._fault
        if self._being_opened is not None and self._being_opened.done():
            self._being_opened.result()
        if self._renewing is None and (fallen := clients.fallen(self._consumer)) is not None:
            self._renewing = asyncio.get_running_loop().create_task(self._renew(fallen), name="renewing")
        if self._renewing is not None:
            await asyncio.wait([self._renewing], timeout=timeout_ms / 1000)
            if self._renewing.done():
                renewing, self._renewing = self._renewing, None
                renewing.result()
            return []
        try:
            async with asyncio.timeout(timeout_ms / 1000 + ASSIGNED_SECONDS):
                fetched = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=MOST_SLABS)
        except TimeoutError:
            return []
        except KafkaError as error:
            self._metrics.count("sluice_consume_errors_total", error=type(error).__name__)
            _log.warning("fetching failed, trying again", error=type(error).__name__)
            await asyncio.sleep(1.0)
            return []
        # of what is not opened yet nothing is lost: once it is, it begins at the committed offset
        slabs = [slab for tp, slabs in fetched.items() if tp in self._open or not self._opening for slab in slabs]
        self._lag.taken(slabs)
        return slabs

    async def commit(self, force: bool = False) -> None:
        """Commits positions that moved, at most once an interval unless forced."""
        now = time.monotonic()
        if not force and (now - self._last_commit) * 1000 < self._settings.consume.commit_interval_ms:
            return
        if self._renewing is not None and not force:
            return
        assigned = self._consumer.assignment()
        every = min(LOOKED_EVERY_SECONDS, self._settings.kafka.metadata_max_age_ms / 1000)
        if assigned and now - self._looked > every and await self._begin_anew(assigned):
            self.join()
            return
        due = self._offsets.due()
        positions = {TopicPartition(*p): offset for p, offset in due.items() if TopicPartition(*p) in assigned}
        self._last_commit = now
        await self._lag.tell(self._consumer, self._paused)
        self._tell_fetched()
        if not positions:
            return
        if self._advance:
            self._advance({(tp.topic, tp.partition): offset for tp, offset in positions.items()})
            await asyncio.sleep(0)
            if force:
                await self._drain()
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._consumer.commit(positions)
        except (KafkaError, TimeoutError) as error:
            # the group moved on: whoever has the partition now begins at the last commit
            self._metrics.count("sluice_consume_errors_total", error=type(error).__name__)
            _log.warning("commit failed", error=type(error).__name__)
            return
        self.committed({(tp.topic, tp.partition): offset for tp, offset in positions.items()})

    def committed(self, positions: dict[Partition, int]) -> None:
        """Takes note of what is committed."""
        self._offsets.committed(positions)
        self._metrics.set("sluice_consume_last_commit_timestamp_seconds", time.time())

    async def position(self, partition: Partition) -> tuple[int, str] | None:
        """The offset that is committed for a partition, and what was committed with it.

        Raises:
            KafkaError: the broker does not say.
        """
        tp = TopicPartition(*partition)
        # the library's own question leaves out what stands beside the offset
        found = (await self._consumer._coordinator.fetch_committed_offsets([tp])).get(tp)
        return None if found is None else (found.offset, found.metadata or "")

    async def _begin_anew(self, assigned: set[TopicPartition]) -> bool:
        """Has what was made anew among the topics read from its beginning, after the next assignment. True if there is any."""
        self._looked = time.monotonic()
        anew: set[str] = set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                anew = await self._identity.changed(self._consumer._client, {tp.topic for tp in assigned})
        if not anew:
            return False
        _log.warning("topics were made anew, they are read from their beginning", topics=sorted(anew))
        gone = {tp for tp in assigned if tp.topic in anew}
        self._open -= gone
        if self._closing:
            await self._closing()  # what is under way would commit offsets of the former topic
        self._offsets.forget({(tp.topic, tp.partition) for tp in gone})
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._consumer.commit(dict.fromkeys(gone, 0))
        except (KafkaError, TimeoutError) as error:
            _log.warning("commit failed", error=type(error).__name__)
        return True

    def pause(self, paused: bool) -> None:
        """Stops or resumes fetching; polling goes on."""
        assigned = self._consumer.assignment()
        if paused != self._paused and assigned:
            (self._consumer.pause if paused else self._consumer.resume)(*assigned)
        self._paused = paused

    def note(self, seconds: float, waiting: float) -> None:
        """What the last turn showed; fetches shrink or grow accordingly. See :meth:`.pressure.Pressure.note`."""
        self._pressure.note(seconds, waiting)
        self._set_chunk()

    def _set_chunk(self) -> None:
        if self._consumer is not None:
            self._consumer._fetcher._max_partition_fetch_bytes = self._pressure.chunk  # asked for with each fetch
            if not self._own:
                self._metrics.set("sluice_consume_partition_fetch_bytes", self._pressure.chunk)

    def _tell_fetched(self) -> None:
        held = [result for result in self._consumer._fetcher._records.values() if hasattr(result, "_partition_records")]
        fetched = sum(batches.held_bytes(result._partition_records) for result in held)
        self._metrics.set("sluice_consume_fetched_bytes", fetched, queue="sightings" if self._own else "records")

    # -- called by aiokafka --------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Every rebalance revokes everything: what is in flight is drained and committed before the partitions go."""
        with self._keeping_fault():
            await self._give_up(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """The group gave us partitions. Nothing may take long here: no heartbeat is sent meanwhile."""
        with self._keeping_fault():
            self._take_on(assigned)

    @contextlib.contextmanager
    def _keeping_fault(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._fault = self._fault or error
            raise

    async def _give_up(self, revoked: set[TopicPartition]) -> None:
        await self._end_opening()
        if revoked:
            await self._drain()
            await self._begin_anew(revoked)
            await self.commit(force=True)
        if self._closing:
            await self._closing()
        self.generation += 1
        self._open = set()
        self._offsets.forget()
        self._lag.forget({tp.topic for tp in revoked})
        if not self._own:
            self._metrics.set("sluice_consume_assigned_partitions", 0)

    def _take_on(self, assigned: set[TopicPartition]) -> None:
        self._paused = False
        self._looked = -math.inf  # soon: what is made anew is told only from what was seen before
        self._pressure.assigned(len(assigned))
        self._set_chunk()
        if self._opening:
            self._open = set()
            self._being_opened = asyncio.get_running_loop().create_task(self._begin(assigned), name="opening")
        else:
            self.joined = True
        if not self._own:
            self._metrics.count("sluice_consume_rebalances_total")
            self._metrics.set("sluice_consume_assigned_partitions", len(assigned))
        _log.info("partitions assigned", count=len(assigned), group=self.group)

    async def _begin(self, assigned: set[TopicPartition]) -> None:
        """Opens partitions, and begins to read them where their former owner ended."""
        assert self._opening is not None
        await self._opening({(tp.topic, tp.partition) for tp in assigned})
        at_start = bool(self._own) or self._settings.consume.start_at == "earliest"
        for tp in assigned:
            while True:
                try:
                    offset = await self._consumer.committed(tp)
                    if offset is None:
                        bounds = self._consumer.beginning_offsets if at_start else self._consumer.end_offsets
                        offset = (await bounds([tp]))[tp]
                    self._consumer.seek(tp, offset)
                    self._open.add(tp)
                    break
                except KafkaError as error:
                    _log.warning("the committed offset cannot be read, trying again", error=type(error).__name__)
                    await asyncio.sleep(0.5)
        self.joined = True

    async def _end_opening(self) -> None:
        if self._being_opened is not None:
            self._being_opened.cancel()
            await asyncio.gather(self._being_opened, return_exceptions=True)
            self._being_opened = None


def producer(
    settings: Settings, batch_bytes: int = 16 * 1024, transactional_id: str | None = None, transaction_seconds: float = 0.0
) -> AIOKafkaProducer:
    """A producer of what Sluice writes, not yet started.

    Args:
        settings: all of them.
        batch_bytes: the most that it puts together.
        transactional_id: of its transactions, if it makes any.
        transaction_seconds: how long one may take before the broker ends it; the session time-out where that is longer.
    """
    made = AIOKafkaProducer(
        **connection(settings),
        acks="all",
        enable_idempotence=settings.kafka.idempotence,
        transactional_id=transactional_id,
        transaction_timeout_ms=max(settings.kafka.session_timeout_ms, round(transaction_seconds * 1000)),
        linger_ms=0,
        max_batch_size=batch_bytes,
        max_request_size=16 * 1024 * 1024,
        compression_type=None,
    )
    if transactional_id is None and made._txn_manager is not None:
        # the library tells a failure to everybody's transaction, and fails itself where there is none
        made._txn_manager._transaction_waiter = asyncio.get_running_loop().create_future()
    return made
