"""A compacted topic as a table: read whole by every worker, outside of any group, and followed from then on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from service.consume import clients
from service.consume.access import connection, explained
from service.records import Record
from service.settings import Settings
from service.telemetry import logs

_log = logs.get("consume")
NEW_PARTITIONS_SECONDS: Final = 30.0
"""How often new partitions are looked for."""
SILENT_SECONDS: Final = 2.0
"""After so long without a record all is taken for read, whatever the broker says of the topic's end."""
_MOST_RECORDS: Final = 1000


class Table:
    """Follows a topic.

    Args:
        settings: all of them.
        topic: the topic's name; it is never created by reading it.
        apply: takes in a record; what it raises is its own affair.
        isolation: ``read_committed`` where transactions write the topic.
    """

    def __init__(
        self, settings: Settings, topic: str, apply: Callable[[Record], None], isolation: str = "read_uncommitted"
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._apply = apply
        self._isolation = isolation
        self._consumer: Any = None
        self._ends: dict[TopicPartition, int] = {}
        self._last_record = time.monotonic()
        self.read = asyncio.Event()
        """Set once everything was taken in that was in the topic at the start."""

    async def start(self) -> None:
        """Connects.

        Raises:
            SourceError: the broker does not let us in.
        """
        try:
            await self._connect()
        except (KafkaError, OSError) as error:
            await clients.end(self._consumer)
            raise await explained(self._settings, error) from error

    async def _connect(self) -> None:
        self._consumer = AIOKafkaConsumer(
            **connection(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=self._isolation,
            metadata_max_age_ms=round(NEW_PARTITIONS_SECONDS * 1000),
            fetch_max_wait_ms=self._settings.consume.fetch_max_wait_ms,
        )
        await self._consumer.start()

    async def follow(self) -> None:
        """Takes in what is there and what comes, until cancelled."""
        self._last_record = time.monotonic()
        subscribed = False
        while True:
            try:
                if (error := clients.fallen(self._consumer)) is not None:
                    _log.warning("reading failed, connecting anew", topic=self._topic, error=type(error).__name__)
                    await clients.end(self._consumer)
                    subscribed, self._ends = False, {}  # all of it once more: what is said last still holds in the end
                    await self._connect()
                elif subscribed:
                    await self._take()
                elif subscribed := self._topic in await self._consumer.topics():  # asking for it alone would create it
                    self._consumer.subscribe([self._topic])  # of no group: all partitions, those to come included
                else:
                    await asyncio.sleep(0.2)
                if not self.read.is_set() and await self._is_at_end():
                    self.read.set()
            except (KafkaError, OSError) as error:
                _log.warning("reading failed, trying again", topic=self._topic, error=type(error).__name__)
                await asyncio.sleep(1.0)

    async def read_whole(self) -> None:
        """Takes in what is there now, and returns."""
        following = asyncio.get_running_loop().create_task(self.follow())
        try:
            await self.read.wait()
        finally:
            following.cancel()

    async def stop(self) -> None:
        """Disconnects."""
        if self._consumer is not None:
            await clients.end(self._consumer)

    async def _take(self) -> None:
        timeout_ms = 500 if self.read.is_set() else 50
        for records in (await self._consumer.getmany(timeout_ms=timeout_ms, max_records=_MOST_RECORDS)).values():
            self._last_record = time.monotonic()
            for one in records:
                self._apply(Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value))

    async def _is_at_end(self) -> bool:
        if time.monotonic() - self._last_record > SILENT_SECONDS:
            return True
        assigned = self._consumer.assignment()
        if assigned and not self._ends.keys() >= assigned:
            self._ends = await self._consumer.end_offsets(assigned)
        for partition in assigned:
            if self._ends[partition] > 0 and await self._consumer.position(partition) < self._ends[partition]:
                return False
        return bool(assigned)
