"""Dead letters: what cannot be processed, as it came, with the reason in its headers; and the way back.

The reason is from a closed list, never an exception's text, which may quote the payload. When too much of what is read ends
here the consumer stops: a bad deployment must not empty a topic into its dead letters.

What became of a letter is kept where Kafka keeps such things, in the offsets of a group: the position up to which all are
replayed, and behind it, as the offset's metadata, those that were picked out.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, NotCoordinatorForGroupError

from service.consume.access import connection, explained
from service.errors import SourceError, TooManyDeadLettersError
from service.records import Record
from service.settings import Settings

WINDOW_RECORDS: Final = 1_000
OURS: Final = (
    "sluice.reason",
    "sluice.error",
    "sluice.topic",
    "sluice.partition",
    "sluice.offset",
    "sluice.timestamp",
    "sluice.version",
    "sluice.payload",
)
"""The names of the headers that we put behind a record's own."""
LEFT_OUT: Final = ("sluice.payload", b"left out: too large")
"""Says that the payload stayed in its topic."""
MOST_METADATA_BYTES: Final = 3_500
"""Of an offset's metadata; brokers take 4,096 by default."""
_REPLAY_BATCH: Final = 200
_READ_SECONDS: Final = 10.0


def letter(
    record: Record, reason: str, error: str, version: str
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    """Key, value and headers of a dead letter: the record's own, and where and why behind them."""
    headers: list[tuple[str, bytes | None]] = list(record.headers)
    said = {
        "sluice.reason": reason,
        "sluice.error": error,
        "sluice.topic": record.topic,
        "sluice.partition": str(record.partition),
        "sluice.offset": str(record.offset),
        "sluice.timestamp": str(record.timestamp),
        "sluice.version": version,
    }
    headers += [(name, value.encode()) for name, value in said.items() if value]
    return record.key, record.value, headers


def bare(record: Record, reason: str, error: str, version: str) -> list[tuple[str, bytes | None]]:
    """Headers of a dead letter that says where its record is, and holds nothing of it."""
    place = Record(record.topic, record.partition, record.offset, record.timestamp, None, None)
    return [*letter(place, reason, error, version)[2], LEFT_OUT]


def rejected(topic: str, partition: int, offset: int, version: str) -> list[tuple[str, bytes | None]]:
    """Headers of the dead letter of an alert that its sink never takes: the record stays in its topic, and has its place."""
    return bare(Record(topic, partition, offset, -1, None, None), "alert_rejected", "", version)


class Limit:
    """Says when to stop.

    Args:
        max_ratio: of dead letters to records, over at least :data:`WINDOW_RECORDS` records.
        max_consecutive: dead letters without a good record between them.
    """

    def __init__(self, max_ratio: float, max_consecutive: int) -> None:
        self._max_ratio = max_ratio
        self._max_consecutive = max_consecutive
        self._records = 0
        self._letters = 0
        self._consecutive = 0

    def note(self, records: int, letters: int) -> None:
        """Takes note of a batch.

        Raises:
            TooManyDeadLettersError: the limit is passed.
        """
        self._consecutive = self._consecutive + letters if letters and letters == records else 0
        self._records += records
        self._letters += letters
        ratio = self._letters / max(self._records, WINDOW_RECORDS)
        if self._consecutive > self._max_consecutive or ratio > self._max_ratio:
            raise TooManyDeadLettersError(
                f"{self._letters} of the last {self._records} records are dead letters: the limit is passed and nothing more is"
                " read. See the reasons in the headers of the dead letters; dead_letters.max_ratio raises the limit"
            )
        if self._records >= WINDOW_RECORDS:
            self._records //= 2
            self._letters //= 2


class Letter(NamedTuple):
    """A dead letter as it stands in its topic, and what its headers say.

    ``record`` is the letter itself; ``topic``, ``partition`` and ``offset`` are where it came from (None where the letter
    does not say), ``headers`` what it came with. ``carried`` keeps the size where the record was emptied since.
    """

    record: Record
    reason: str
    error: str
    topic: str | None
    partition: int | None
    offset: int | None
    headers: tuple[tuple[str, bytes | None], ...]
    is_left_out: bool
    carried: int | None = None

    @property
    def size(self) -> int:
        """Bytes of key and value, as far as they came here."""
        if self.carried is not None:
            return self.carried
        return len(self.record.key or b"") + len(self.record.value or b"")


def opened(record: Record) -> Letter:
    """What a record of the topic of dead letters says. Of headers that a producer named like ours, the last counts."""
    said: dict[str, str] = {}
    own: list[tuple[str, bytes | None]] = []
    for name, value in reversed(record.headers):
        if name in OURS and name not in said:
            said[name] = (value or b"").decode("utf-8", "replace")
        else:
            own.append((name, value))
    partition, offset = (_number(said.get(f"sluice.{name}")) for name in ("partition", "offset"))
    return Letter(
        record,
        said.get("sluice.reason", "unknown"),
        said.get("sluice.error", ""),
        said.get("sluice.topic"),
        partition,
        offset,
        tuple(reversed(own)),
        "sluice.payload" in said,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None


class Filter(NamedTuple):
    """Which letters are meant; times in seconds since 1970, of when the record became a dead letter."""

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    since: float = 0.0
    until: float = float("inf")

    def takes(self, letter: Letter) -> bool:
        """True if the letter is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
            and self.since <= letter.record.timestamp / 1000 < self.until
        )


class Replayed:
    """Which letters of a partition are done: all before a position, and some behind it.

    Args:
        position: the committed offset; 0 if there is none.
        metadata: the committed metadata: offsets and ranges of them, such as ``12,15-20``.
    """

    def __init__(self, position: int = 0, metadata: str = "") -> None:
        self.position = position
        self._first_left = sys.maxsize
        self._ranges: list[tuple[int, int]] = []
        for part in metadata.split(",") if metadata else ():
            first, _, last = part.partition("-")
            start, end = _number(first), _number(last or first)
            if start is not None and end is not None:
                self._ranges.append((start, end))

    def __contains__(self, offset: int) -> bool:
        return offset < self.position or any(first <= offset <= last for first, last in self._ranges)

    def add(self, offset: int) -> None:
        """The letter at this offset is done. Offsets come in rising order."""
        if self._ranges and offset == self._ranges[-1][1] + 1:
            self._ranges[-1] = (self._ranges[-1][0], offset)
        elif offset not in self:
            self._ranges.append((offset, offset))
            self._ranges.sort()

    def leave(self, offset: int) -> None:
        """The letter at this offset is not done, and the position stays before it."""
        if offset not in self:
            self._first_left = min(self._first_left, offset)

    def advance(self, end: int) -> None:
        """Everything before ``end`` was looked at: moves the position as far as all is done."""
        self.position = max(self.position, min(end, self._first_left))
        self._ranges = [(max(first, self.position), last) for first, last in self._ranges if last >= self.position]

    @property
    def metadata(self) -> str:
        """What is done behind the position."""
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in self._ranges)


Content = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]
"""Key, value and headers."""


class Outcome(NamedTuple):
    """What a replay did: letters sent back, and those that could not be, by the cause."""

    sent: int
    left: Mapping[str, int]


class Letters:
    """The topic of dead letters, for people: read and replayed outside of the workers' group.

    Args:
        settings: all of them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.dead_letters.topic
        self.group = f"{settings.kafka.group_id}-replay"
        """Whose offsets say what was replayed."""
        self._consumer: Any = None
        self._ends: dict[TopicPartition, int] = {}
        self._partitions: dict[str, set[int]] = {}
        self.done: dict[int, Replayed] = {}
        """By partition, what was replayed."""

    @classmethod
    @asynccontextmanager
    async def opening(cls, settings: Settings) -> AsyncIterator[Letters]:
        """Connects, and takes note of where the topic ends now.

        Raises:
            SourceError: the broker does not let us in, or there is no such topic.
        """
        letters = cls(settings)
        letters._consumer = AIOKafkaConsumer(
            **connection(settings), enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        try:
            try:
                await letters._consumer.start()
                await letters._find()
            except (KafkaError, OSError) as error:
                raise await explained(settings, error) from error
            yield letters
        finally:
            await letters._consumer.stop()

    async def _find(self) -> None:
        admin = AIOKafkaAdminClient(**connection(self._settings))
        try:
            await admin.start()
            for topic in await admin.describe_topics():
                self._partitions[topic["topic"]] = {each["partition"] for each in topic["partitions"]}
            if self._topic not in self._partitions:
                raise SourceError(f"dead_letters.topic: there is no topic {self._topic}: nothing has become a dead letter yet")
            committed = await self._committed(admin)
        finally:
            await admin.close()
        partitions = [TopicPartition(self._topic, number) for number in self._partitions[self._topic]]
        self._consumer.assign(partitions)
        self._ends = await self._consumer.end_offsets(partitions)
        for partition in partitions:
            found = committed.get(partition)
            known = found is not None and found.offset >= 0
            self.done[partition.partition] = Replayed(found.offset, found.metadata or "") if known else Replayed()

    async def _committed(self, admin: Any) -> Any:
        deadline = time.monotonic() + _READ_SECONDS
        while True:
            try:
                return await admin.list_consumer_group_offsets(self.group)
            except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):  # a broker makes its topic first
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def read(self, wanted: Filter, skip_replayed: bool = False) -> AsyncIterator[Letter]:
        """The letters that were there when it was opened, partition by partition."""
        for partition, end in sorted(self._ends.items()):
            done = self.done[partition.partition]
            self._consumer.assign([partition])
            await self._consumer.seek_to_beginning(partition)
            while await self._consumer.position(partition) < end:
                for records in (await self._consumer.getmany(timeout_ms=1000)).values():
                    for one in records:
                        letter = opened(_record(one))
                        if one.offset >= end or (skip_replayed and one.offset in done):
                            continue
                        if wanted.takes(letter):
                            yield letter
                        else:
                            done.leave(one.offset)

    async def replay(self, wanted: Filter, rate: float, told: Callable[[int], None]) -> Outcome:
        """Sends letters back to where they came from, each once: letters and offsets go in one transaction.

        Args:
            wanted: which ones.
            rate: letters a second, at most.
            told: called with the number of letters looked at since.

        Raises:
            SourceError: the broker does not let us, or too much would have to be remembered.
        """
        transactional = self._settings.kafka.idempotence
        more = {"transactional_id": self.group} if transactional else {}
        producer = AIOKafkaProducer(**connection(self._settings), acks="all", max_request_size=256 * 1024 * 1024, **more)
        originals = AIOKafkaConsumer(
            **connection(self._settings), enable_auto_commit=False, auto_offset_reset="none", fetch_max_wait_ms=50
        )
        left: dict[str, int] = {}
        sent = 0
        began = time.monotonic()
        try:
            await producer.start()
            await originals.start()
            batch: list[Letter] = []
            async for letter in self.read(wanted, skip_replayed=True):
                if batch and (len(batch) >= _REPLAY_BATCH or batch[0].record.partition != letter.record.partition):
                    sent += await self._send(producer, originals, batch, left)
                    told(len(batch))
                    batch.clear()
                    await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))
                batch.append(letter)
            if batch:
                sent += await self._send(producer, originals, batch, left)
                told(len(batch))
        except (KafkaError, OSError) as error:
            raise await explained(self._settings, error) from error
        finally:
            await originals.stop()
            await producer.stop()
        return Outcome(sent, left)

    async def _send(self, producer: Any, originals: Any, batch: list[Letter], left: dict[str, int]) -> int:
        """A batch of one partition."""
        partition = TopicPartition(self._topic, batch[0].record.partition)
        done = self.done[partition.partition]
        ready: list[tuple[Letter, Content]] = []
        for letter in batch:
            content = await self._original(originals, letter)
            if isinstance(content, str):
                left[content] = left.get(content, 0) + 1
                done.leave(letter.record.offset)
            else:
                ready.append((letter, content))
        if not ready:
            return 0
        for letter, _ in ready:
            done.add(letter.record.offset)
        done.advance(batch[-1].record.offset + 1)
        metadata = done.metadata
        if len(metadata) > MOST_METADATA_BYTES:
            raise SourceError("more single letters are picked out than can be remembered: replay wider ones first")
        transactional = self._settings.kafka.idempotence
        if transactional:
            await producer.begin_transaction()
        acknowledged = []
        for letter, (key, value, headers) in ready:
            assert letter.topic is not None
            to = letter.partition if letter.partition in self._partitions[letter.topic] else None
            acknowledged.append(await producer.send(letter.topic, value, key, to, headers=list(headers) or None))
        for future in acknowledged:
            await future
        offsets = {partition: OffsetAndMetadata(done.position, metadata)}
        if transactional:
            await producer.send_offsets_to_transaction(offsets, self.group)
            await producer.commit_transaction()
        else:
            await self._commit(offsets)
        return len(ready)

    async def _commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        """Where the broker has no transactions: a crash in between replays a batch again."""
        consumer = AIOKafkaConsumer(**connection(self._settings), group_id=self.group, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign(list(offsets))
            await consumer.commit(offsets)
        finally:
            await consumer.stop()

    async def _original(self, originals: Any, letter: Letter) -> Content | str:
        """What is sent back, or why nothing is; a payload that was left out is fetched from its topic."""
        if letter.topic is None:
            return "the letter does not say where it came from"
        if letter.topic not in self._partitions:
            return f"there is no topic {letter.topic} any more"
        record = letter.record
        if not letter.is_left_out:
            empty = record.key is None and record.value is None
            return "it has neither key nor value" if empty else (record.key, record.value, letter.headers)
        gone = "its payload was left out, and is no longer in its topic"
        if letter.offset is None or letter.partition is None or letter.partition not in self._partitions[letter.topic]:
            return gone
        where = TopicPartition(letter.topic, letter.partition)
        originals.assign([where])
        first, end = (await originals.beginning_offsets([where]))[where], (await originals.end_offsets([where]))[where]
        if not first <= letter.offset < end:
            return gone
        originals.seek(where, letter.offset)
        fetched = await originals.getmany(where, timeout_ms=round(_READ_SECONDS * 1000), max_records=1)
        for records in fetched.values():
            for one in records:
                if one.offset == letter.offset:
                    return one.key, one.value, tuple(one.headers)
        return gone


def _record(one: Any) -> Record:
    return Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, tuple(one.headers))
