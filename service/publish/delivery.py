"""Delivers what a stage makes, in order, until it is acknowledged; only then the stage's input counts as done.

What was made of one slice of the input is a :class:`Parcel`. Parcels queue up while others are under way and then go
together: the slower the broker, the larger the groups. Nothing overtakes within an input partition, so that what is
counted by offsets is counted right.

:class:`AtLeastOnce` sends from one producer; a crash between the acknowledgement and the commit of offsets sends again.
:class:`ExactlyOnce` puts messages and offsets of an input partition into one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, ProducerClosed, ProducerFenced
from aiokafka.producer.transaction_manager import TransactionState
from aiokafka.structs import OffsetAndMetadata

from service.publish import markers
from service.publish.markers import Ends, Hidden, Left, Markers
from service.publish.sinks import kafka
from service.publish.sinks.kafka import Message, Terms
from service.telemetry import logs
from service.telemetry.metrics import Metrics

_log = logs.get("publish")
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 30.0
MOST_TOGETHER: Final = 1000
"""Items of a group, at about."""
STOP_SECONDS: Final = 5.0
"""How long a producer is given to end."""
CUT_SECONDS: Final = 1.0
"""How long each part of one that does not end by itself is waited for."""
LONGEST_TRANSACTION_SECONDS: Final = 120.0
"""To which the patience with one transaction grows where the broker is slow."""
Partition = tuple[str, int]
Committed = tuple[int, str]
"""An offset and what was committed with it: under exactly-once delivery what :func:`.markers.told` tells of the transaction."""


class Parcel(NamedTuple):
    """What was made of the input of a partition up to ``next_offset``; None: of no further input, or of none at all.

    ``items`` are what the stage's ``compose`` understands; ``done`` is called when all of it is safe.
    """

    partition: Partition | None
    next_offset: int | None
    items: Sequence[Any]
    done: Callable[[], None]


class Compose(Protocol):
    """Turns the items of a group into messages, joining what can be joined.

    Those of the first list are safe before the first of the second is sent, unless all go in one transaction.
    """

    def __call__(self, items: Sequence[Any]) -> tuple[list[Message], list[Message]]: ...  # noqa: D102


class Delivery(Protocol):
    """What a stage is told of its delivery."""

    reachable: bool
    """False while the last attempt failed."""

    @property
    def in_flight(self) -> int:
        """Items not yet acknowledged."""

    async def start(self) -> None:
        """Connects. Raises what aiokafka raises."""

    async def open(self, partitions: set[Partition]) -> None:
        """These input partitions are ours from now on; nobody else's messages of them count any more."""

    def check(self) -> None:
        """Raises what ended the delivery, if anything did: a fault of ours, after which nothing would be sent any more."""

    def put(self, parcel: Parcel) -> None:
        """Takes a parcel in; parcels of a partition are delivered in the order of coming."""

    async def drain(self, seconds: float) -> bool:
        """Waits until nothing is in flight. False if the time was over first."""

    async def close(self) -> None:
        """The input partitions are no longer ours: what is in flight of them is given up."""

    async def stop(self) -> None:
        """Disconnects."""


class _Queue:
    """Parcels in order, one group under way at a time."""

    def __init__(self) -> None:
        self._parcels: deque[Parcel] = deque()
        self._under_way = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self.items = 0

    @property
    def is_idle(self) -> bool:
        return self._emptied.is_set()

    def put(self, parcel: Parcel) -> None:
        self._parcels.append(parcel)
        self.items += len(parcel.items)
        self._filled.set()
        self._emptied.clear()

    async def group(self, most: int = MOST_TOGETHER) -> list[Parcel]:
        """The next parcels, once there are some, of so many items at about."""
        await self._filled.wait()
        group = [self._parcels.popleft()]
        items = len(group[0].items)
        while self._parcels and items + len(self._parcels[0].items) <= most:
            items += len(self._parcels[0].items)
            group.append(self._parcels.popleft())
        if not self._parcels:
            self._filled.clear()
        self._under_way = items
        return group

    def fewer(self, group: list[Parcel], most: int) -> list[Parcel]:
        """What stays of a group under way when it is to be so many items, or one parcel; the rest waits again."""
        kept = items = 0
        for parcel in group:
            if kept and items + len(parcel.items) > most:
                break
            kept, items = kept + 1, items + len(parcel.items)
        if group[kept:]:
            self._parcels.extendleft(reversed(group[kept:]))
            self._filled.set()
        self._under_way = items
        return group[:kept]

    def finished(self, group: list[Parcel]) -> None:
        self.items -= self._under_way
        self._under_way = 0
        for parcel in group:
            parcel.done()
        if not self._parcels:
            self._emptied.set()

    async def drain(self) -> None:
        await self._emptied.wait()


class _Failures:
    """Counts and tells failures, pauses longer each time, and keeps whether the last attempt failed."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._pause = FIRST_PAUSE_SECONDS
        self.number = 0

    def tell(self, reason: str) -> None:
        self._metrics.count("sluice_publish_failures_total", sink=kafka.NAME, reason=reason)
        _log.warning("delivery failed", sink=kafka.NAME, reason=reason)

    async def pause(self) -> None:
        self.number += 1
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def over(self) -> None:
        self._pause = FIRST_PAUSE_SECONDS
        self.number = 0


def _taken_as(message: Message, outcome: BaseException | None, terms: Terms, failures: _Failures) -> Message | None:
    """A message as it is to be sent the next time: in its stead another one if its topic never takes it, None for nothing."""
    if not (isinstance(outcome, kafka.TOO_LARGE) and terms.is_alone(message)):
        return message
    failures.tell("too_large")
    if message.instead is None:
        _log.error("given up: larger than its topic takes", topic=message.topic, bytes=len(message.value or b""))
        return None
    return message.instead()


def _all_alone(messages: Sequence[Message], outcomes: Sequence[BaseException | None], terms: Terms) -> bool:
    large = (m for m, outcome in zip(messages, outcomes, strict=True) if isinstance(outcome, kafka.TOO_LARGE))
    return all(map(terms.is_alone, large))


def _check(task: asyncio.Task[None] | None) -> None:
    if task is not None and task.done() and not task.cancelled():
        task.result()


async def _ended(producer: Any) -> None:
    """Ends a producer, whatever state it is in, whether or not its broker answers, and even if this is cancelled."""
    ended = False
    try:
        await asyncio.wait_for(producer.stop(), STOP_SECONDS)
        ended = True
    except Exception as error:  # noqa: BLE001  # nothing that comes of ending one may end the worker
        if not isinstance(error, (*kafka.FAILED, AssertionError)):
            _log.warning("a producer does not end by itself, it is cut off", error=type(error).__name__)
    finally:
        if not ended:
            await _cut(producer)
        _heard(producer)


async def _cut(producer: Any) -> None:
    """Ends a producer that still has something to send, and would as soon as it can: from the past, beside its successor."""
    client, sending = producer.client, producer._sender.sender_task
    for connection in list(client._conns.values()):
        if connection._writer is not None:
            connection._writer.transport.abort()  # it would wait until all is written
    if sending is not None:
        sending.cancel()
        if not (await asyncio.wait([sending], timeout=CUT_SECONDS))[0]:
            sending.cancel()  # the first time it waits for what is under way
    producer._message_accumulator.fail_all(ProducerClosed())
    with contextlib.suppress(*kafka.FAILED):
        await asyncio.wait_for(client.close(), CUT_SECONDS)


class _Offset:
    """The offset that a transaction commits. Its group joins the transaction while messages are under way; the offset follows
    when it is known what is to be told beside it: one round trip less than one after the other.

    Args:
        producer: aiokafka's.
    """

    def __init__(self, producer: Any) -> None:
        self._manager = producer._txn_manager
        self._due = self._manager.offsets_to_commit
        self._known = True
        self._manager.offsets_to_commit = lambda: self._due() if self._known else None
        self._offsets: dict[TopicPartition, OffsetAndMetadata] = {}

    async def join(self, partition: Partition, offset: int | None, group: str) -> asyncio.Future[None] | None:
        """Has the group join, if there is an offset. What comes of the offset is in the future."""
        if offset is None:
            return None
        self._offsets = {TopicPartition(*partition): OffsetAndMetadata(offset, "")}
        self._known = False
        done: asyncio.Future[None] = self._manager.add_offsets_to_txn(self._offsets, group)
        done.add_done_callback(lambda it: it.cancelled() or it.exception())  # where nobody waits for it any more
        return done

    def tell(self, beside: str = "") -> None:
        """Has the offset go, with what is told beside it."""
        self._known = True
        for tp, (offset, _) in self._offsets.items():
            self._offsets[tp] = OffsetAndMetadata(offset, beside)
        self._manager.notify_task_waiter()


def _heard(producer: Any) -> None:
    """Takes note of failures that the library keeps for callers who are not there: it would complain of each later on."""
    batches = [batch for waiting in producer._message_accumulator._batches.values() for batch in waiting]
    futures = [batch._drain_waiter for batch in batches]
    if producer._txn_manager is not None:
        futures.append(producer._txn_manager._transaction_waiter)
    for future in futures:
        if future is not None and future.done() and not future.cancelled():
            future.exception()


class AtLeastOnce:
    """One producer, one group under way.

    Args:
        make: makes a producer that is not yet started, of batches of so many bytes.
        compose: of the stage.
        metrics: the process's.
    """

    def __init__(self, make: Callable[[int], Any], compose: Compose, metrics: Metrics) -> None:
        self._make = make
        self._terms = Terms()
        self._compose = compose
        self._failures = _Failures(metrics)
        self._queue = _Queue()
        self._producer: Any = None
        self._pumping: asyncio.Task[None] | None = None

    @property
    def reachable(self) -> bool:
        """False while the last attempt failed."""
        return not self._failures.number

    @property
    def in_flight(self) -> int:
        """Items not yet acknowledged."""
        return self._queue.items

    @property
    def client(self) -> Any:
        """The library's, connected."""
        return self._producer.client

    async def start(self) -> None:
        """Connects."""
        self._producer = self._make(self._terms.batch_bytes)
        try:
            await self._producer.start()
        except BaseException:
            await _ended(self._producer)
            raise
        self._pumping = asyncio.get_running_loop().create_task(self._pump(), name="delivery")

    async def open(self, partitions: set[Partition]) -> None:
        """Nothing to do: what another worker still sends of them counts as a repeat."""

    def check(self) -> None:
        """Raises what ended the delivery, if anything did."""
        _check(self._pumping)

    def put(self, parcel: Parcel) -> None:
        """Takes a parcel in."""
        self._queue.put(parcel)

    async def drain(self, seconds: float) -> bool:
        """Waits until nothing is in flight."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.drain(), seconds)
        return self._queue.is_idle

    async def close(self) -> None:
        """Nothing to do: what is in flight may still be delivered, its offsets are nobody's any more."""

    async def stop(self) -> None:
        """Gives up what is in flight, and disconnects."""
        if self._pumping is not None:
            self._pumping.cancel()
            await asyncio.gather(self._pumping, return_exceptions=True)
            await _ended(self._producer)

    async def mark(self, topic: str, partition: int) -> int:
        """Writes a record without a value, and tells its offset: what is before it was written before."""
        try:
            future = await self._producer.send(topic, None, b"", partition, self._terms.timestamp)
            return int((await future).offset)
        except KafkaError as error:
            if self._terms.learn([error], all_alone=True) or not error.retriable:
                await self._renew()
            raise

    async def _pump(self) -> None:
        while True:
            group = await self._queue.group()
            for wave in self._compose([item for parcel in group for item in parcel.items]):
                await self._until_acknowledged(wave)
            self._queue.finished(group)

    async def _until_acknowledged(self, messages: list[Message]) -> None:
        while messages:
            outcomes = await kafka.send(self._producer, messages, self._terms.timestamp)
            left: list[Message] = []
            for message, outcome in zip(messages, outcomes, strict=True):
                if outcome is not None:
                    again = _taken_as(message, outcome, self._terms, self._failures)
                    left += [again] if again is not None else []
                elif message.acknowledged is not None:
                    message.acknowledged()
            errors = [outcome for outcome in outcomes if outcome is not None]
            if errors and not self._terms.learn(errors, _all_alone(messages, outcomes, self._terms)):
                self._failures.tell(type(errors[0]).__name__)
                await self._failures.pause()
            if any(isinstance(error, KafkaError) and not error.retriable for error in errors):
                await self._renew()
            messages = left
        self._failures.over()

    async def _renew(self) -> None:
        """A producer that met some errors never sends again; another one does."""
        fresh = self._make(self._terms.batch_bytes)
        try:
            await asyncio.wait_for(fresh.start(), STOP_SECONDS)
        except kafka.FAILED:
            await _ended(fresh)
            return
        old, self._producer = self._producer, fresh
        await _ended(old)


class ExactlyOnce:
    """A transaction for each group of an input partition, under a transactional id that is the partition's.

    The client library cannot fence by the group's generation, so the ids do it: whoever gets a partition first begins
    under its id, which ends every transaction of the former owner for good, and only then reads how far it came.

    A transaction counts as done when it has ended in each of its partitions, and a partition's first one begins when the
    former owner's have; see :mod:`.markers`.

    Args:
        make: makes a producer, of batches of so many bytes, with a transactional id, of transactions of so many seconds,
            that is not yet started.
        group: whose offsets are committed.
        position: asks the broker for the committed offset of an input partition, and for what was committed with it.
        committed: called with what was committed.
        lost: called where somebody else went on with a partition that we took for ours.
        compose: of the stage.
        metrics: the process's.
        topics: those that transactions may write to.
        patience_seconds: how long one transaction may take, as long as none was seen to take longer.
        fenced_seconds: how long the group needs to tell us that somebody else has our partitions.
    """

    def __init__(
        self,
        make: Callable[[int, str | None, float], Any],
        group: str,
        position: Callable[[Partition], Awaitable[Committed | None]],
        committed: Callable[[dict[Partition, int]], None],
        lost: Callable[[], None],
        compose: Compose,
        metrics: Metrics,
        topics: Callable[[], Iterable[str]],
        patience_seconds: float,
        fenced_seconds: float,
    ) -> None:
        self.make = make
        self.group = group
        self.position = position
        self.committed = committed
        self.lost = lost
        self.compose = compose
        self.metrics = metrics
        self.topics = topics
        self.hidden = Hidden()
        self.patience_seconds = patience_seconds
        self.fenced_seconds = fenced_seconds
        self._lanes: dict[Partition, _Lane] = {}
        self._beside = AtLeastOnce(lambda batch_bytes: make(batch_bytes, None, 0.0), compose, metrics)

    @property
    def reachable(self) -> bool:
        """False while the last attempt of some partition failed."""
        return self._beside.reachable and not any(lane.failures.number for lane in self._lanes.values())

    @property
    def in_flight(self) -> int:
        """Items not yet acknowledged."""
        return self._beside.in_flight + sum(lane.queue.items for lane in self._lanes.values())

    async def start(self) -> None:
        """Connects what is outside of transactions: what comes of no input."""
        await self._beside.start()

    async def open(self, partitions: set[Partition]) -> None:
        """Fences the former owners, reads how far they came, and looks what they left open."""
        await self.close()
        self._lanes = {partition: _Lane(self, partition) for partition in partitions}
        await asyncio.gather(*(lane.open() for lane in self._lanes.values()))
        left = await self._leftovers()
        for lane in self._lanes.values():
            lane.begin(left)

    async def _leftovers(self) -> Left:
        while True:
            try:
                return await markers.leftovers(self._beside.client, self.topics(), self.hidden)
            except kafka.FAILED as error:
                _log.warning("it cannot be seen what is left open, trying again", error=type(error).__name__)
                await asyncio.sleep(FIRST_PAUSE_SECONDS)

    def check(self) -> None:
        """Raises what ended the delivery, if anything did."""
        self._beside.check()
        for lane in self._lanes.values():
            lane.check()

    def put(self, parcel: Parcel) -> None:
        """Takes a parcel in; one of a partition that is not ours is dropped: its owner makes it again."""
        if parcel.partition is None:
            self._beside.put(parcel)
        elif parcel.partition in self._lanes:
            self._lanes[parcel.partition].queue.put(parcel)

    def advance(self, positions: dict[Partition, int]) -> None:
        """Commits positions that were come to without anything to deliver."""
        for partition, offset in positions.items():
            lane = self._lanes.get(partition)
            if lane is not None and lane.queue.is_idle:  # otherwise what is under way commits a later one
                lane.queue.put(Parcel(partition, offset, (), lambda: None))

    async def drain(self, seconds: float) -> bool:
        """Waits until nothing is in flight."""
        queues = [lane.queue.drain() for lane in self._lanes.values()]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*queues), seconds)
            return await self._beside.drain(seconds)
        return False

    async def close(self) -> None:
        """Ends the transactions under way, and the producers."""
        lanes, self._lanes = self._lanes, {}
        await asyncio.gather(*(lane.close() for lane in lanes.values()))

    async def stop(self) -> None:
        """Gives up what is in flight, and disconnects."""
        await self.close()
        await self._beside.stop()

    async def mark(self, topic: str, partition: int) -> int:
        """Writes a record without a value, and tells its offset: what is before it was written before."""
        return await self._beside.mark(topic, partition)


class _Lane:
    """One input partition under exactly-once delivery."""

    def __init__(self, whole: ExactlyOnce, partition: Partition) -> None:
        self._whole = whole
        self._partition = partition
        self._id = f"{whole.group}-{partition[0]}-{partition[1]}"
        self.queue = _Queue()
        self.failures = _Failures(whole.metrics)
        self._producer: Any = None
        self._offset: _Offset | None = None
        self._terms = Terms()
        self._markers = Markers(whole.hidden)
        self._patience = whole.patience_seconds
        self._most = MOST_TOGETHER
        self._committed: Committed | None = None
        self._pumping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._committed = await self._fence()

    def begin(self, left: Left) -> None:
        self._markers.adopt(left, self._producer)
        self._pumping = asyncio.get_running_loop().create_task(self._pump(), name=f"delivery {self._id}")

    def check(self) -> None:
        _check(self._pumping)

    async def close(self) -> None:
        if self._pumping is not None:
            self._pumping.cancel()
            await asyncio.gather(self._pumping, return_exceptions=True)
        await self._discard()

    async def _fence(self) -> Committed | None:
        """Begins under the partition's id, as long as it takes; the offset to which the former owner committed."""
        while True:
            self._producer = self._whole.make(self._terms.batch_bytes, self._id, self._patience)
            self._markers.watch(self._producer)
            self._offset = _Offset(self._producer)
            try:
                await asyncio.wait_for(self._producer.start(), self._patience)
                return await self._whole.position(self._partition)
            except kafka.FAILED as error:
                self.failures.tell(type(error).__name__)
                self._slow_down(error)
                await self._discard()
                await self.failures.pause()

    def _slow_down(self, error: BaseException) -> None:
        """What takes too long gets more time, or it would be begun anew for ever; and is less."""
        if isinstance(error, TimeoutError):
            self._patience = min(2 * self._patience, LONGEST_TRANSACTION_SECONDS)
            self._most = max(1, self._most // 2)

    def _speed_up(self, seconds: float) -> None:
        """A transaction took so long: well within the time for one, the next may be more."""
        if seconds < self._patience / 4:
            self._most = min(2 * self._most, MOST_TOGETHER)
            self._patience = max(self._patience / 2, self._whole.patience_seconds)

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        _heard(producer)
        if self._offset is not None:
            self._offset.tell()  # the library ends no transaction before it
        try:
            with contextlib.suppress(*kafka.FAILED, AssertionError):  # of a state in which it cannot abort any more
                await asyncio.wait_for(producer.abort_transaction(), STOP_SECONDS)
        finally:
            await _ended(producer)

    async def _pump(self) -> None:
        if not await self._settles(markers.reach(self._committed[1] if self._committed else ""), self._committed):
            return self._lose()
        self.failures.over()
        while True:
            group = await self.queue.group(self._most)
            messages, offset = self._composed(group)
            # an offset alone does not tell one transaction from another: what comes of no further input leaves it in place
            word, done = uuid.uuid4().hex, False
            while not done:
                before = self._committed
                done = await self._commits(messages, offset, word)
                if not done:
                    self._committed = await self._fence()
                    # the same word: it had gone through, and only the answer was lost
                    done = self._committed is not None and markers.token(self._committed[1]) == word
                    if not done and self._committed != before:
                        return self._lose()
                if not await self._settles(lambda tp, start, done=done: done, self._committed):  # type: ignore[misc]
                    return self._lose()
                if not done and len(fewer := self.queue.fewer(group, self._most)) < len(group):
                    group, word = fewer, uuid.uuid4().hex
                    messages, offset = self._composed(group)
            self.failures.over()
            for message in messages:
                if message.acknowledged is not None:
                    message.acknowledged()
            self.queue.finished(group)
            if offset is not None:
                self._whole.committed({self._partition: offset})

    def _composed(self, group: list[Parcel]) -> tuple[list[Message], int | None]:
        """The messages of a group, and the offset that goes with them."""
        waves = self._whole.compose([item for parcel in group for item in parcel.items])
        known = self._committed[0] if self._committed is not None else None
        offset = next((parcel.next_offset for parcel in reversed(group) if parcel.next_offset is not None), known)
        return [message for wave in waves for message in wave], offset

    def _lose(self) -> None:
        _log.warning("somebody else went on with a partition", topic=self._partition[0], partition=self._partition[1])
        self._whole.lost()

    async def _settles(self, commits: Ends, at: Committed | None) -> bool:
        """Waits until what came before has ended in all of its partitions. False if somebody else went on from ``at``.

        Nothing else is sent meanwhile: the marker of a later transaction would decide on this one too.
        """
        while True:
            try:
                await self._markers.settle(self._producer, commits)
                return True
            except (*kafka.FAILED, AssertionError) as error:
                self.failures.tell(type(error).__name__)
                await self.failures.pause()
                if self._producer._txn_manager.state is not TransactionState.READY:
                    await self._discard()
                    if isinstance(error, ProducerFenced):
                        await asyncio.sleep(self._whole.fenced_seconds)
                    if await self._fence() != at:
                        return False

    async def _commits(self, messages: list[Message], offset: int | None, word: str) -> bool:
        """One transaction. False if it did not succeed, or nobody knows; the producer is then gone.

        What no topic will take is replaced in ``messages`` by what stands in for it.
        """
        producer, learned, began = self._producer, False, time.monotonic()
        assert self._offset is not None
        reached: dict[TopicPartition, int] = {}
        try:
            async with asyncio.timeout(self._patience):
                await producer.begin_transaction()
                outcomes, committed = await asyncio.gather(
                    kafka.send(producer, messages, self._terms.timestamp, reached),
                    self._offset.join(self._partition, offset, self._whole.group),
                )
                if failed := [outcome for outcome in outcomes if outcome is not None]:
                    alone = _all_alone(messages, outcomes, self._terms)
                    pairs = zip(messages, outcomes, strict=True)
                    again = [_taken_as(message, outcome, self._terms, self.failures) for message, outcome in pairs]
                    messages[:] = [message for message in again if message is not None]
                    learned = self._terms.learn(failed, alone)
                    raise failed[0]
                aim = None if offset is None else (offset, markers.told(word, reached))
                if aim is not None and committed is not None:
                    self._offset.tell(aim[1])
                    await asyncio.shield(committed)
                await producer.commit_transaction()
        except (*kafka.FAILED, AssertionError) as error:
            await self._discard()
            if learned:
                return False
            self.failures.tell(type(error).__name__)
            self._slow_down(error)
            if isinstance(error, ProducerFenced):  # by the partition's new owner: the group tells us, if it is not us
                await asyncio.sleep(self._whole.fenced_seconds)
            else:
                await self.failures.pause()
            return False
        self._speed_up(time.monotonic() - began)
        self._committed = aim
        return True
