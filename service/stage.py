"""What the two stages of a worker have in common: take, make, deliver, commit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from service import __version__
from service.consume import deadletter, source
from service.consume.access import explained
from service.consume.batches import Slab
from service.consume.offsets import Offsets, Partition
from service.consume.source import Source
from service.publish.delivery import AtLeastOnce, ExactlyOnce, Parcel
from service.publish.schemas import native
from service.publish.schemas.native import Alert
from service.publish.sinks import kafka
from service.publish.sinks.kafka import Message
from service.settings import Settings
from service.telemetry import logs
from service.telemetry.metrics import Metrics

_log = logs.get("stage")
_encode: Final = msgspec.json.Encoder().encode
POLL_MS: Final = 200


async def _to_the_end(end: Callable[[], Awaitable[object]]) -> None:
    """Ends a part. What the library cancels inside of it, as it does where no broker answers, is not a cancellation of ours."""
    try:
        await end()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        _log.warning("something was cancelled while it ended", part=getattr(end, "__qualname__", ""))


class Stage:
    """A loop over what a source gives. :meth:`run` goes on until :meth:`stop`, or until something makes going on wrong.

    Args:
        settings: all of them.
        metrics: the process's.
        own: a topic of ours that is read; None for those that ``consume`` names.
    """

    queue: ClassVar[str]
    """What the stage makes, as ``sluice_publish_waiting`` calls it."""

    def __init__(self, settings: Settings, metrics: Metrics, own: str | None = None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._offsets = Offsets()
        self._stopping = asyncio.Event()
        exactly = settings.publish.delivery == "exactly_once"
        self.source = Source(
            settings,
            self._offsets,
            metrics,
            self._drain,
            own=own,
            isolation="read_committed" if own and exactly else None,
            opening=self._open if own or exactly else None,
            closing=self._close,
            advance=self._advance if exactly else None,
        )
        self._delivery: AtLeastOnce | ExactlyOnce = (
            ExactlyOnce(
                self._producer,
                self.source.group,
                self.source.position,
                self.source.committed,
                self.source.join,
                self._compose,
                metrics,
                lambda: self._settings.own_topics - {self._settings.verdicts.topic},
                settings.kafka.session_timeout_ms / 1000,
                2 * settings.kafka.heartbeat_interval_ms / 1000,
            )
            if exactly
            else AtLeastOnce(self._producer, self._compose, metrics)
        )

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

    @property
    def in_flight(self) -> int:
        """What was handed on and is not yet acknowledged."""
        return self._delivery.in_flight

    async def run(self) -> None:
        """Takes, makes and hands on, until told to stop.

        Raises:
            TooManyDeadLettersError: the limit of dead letters is passed.
            SourceError: the broker does not let us in.
        """
        try:
            await self._delivery.start()
        except (KafkaError, OSError) as error:
            raise await explained(self._settings, error) from error
        async with contextlib.AsyncExitStack() as ending:  # each is ended, whatever comes of ending the one before
            for end in (self._delivery.stop, self.source.stop, self._drain):
                ending.push_async_callback(_to_the_end, end)
            await self.source.start()
            while not self._stopping.is_set():
                await self._turn(POLL_MS)
                await self._hold_back()

    async def _turn(self, timeout_ms: int) -> None:
        self._delivery.check()
        slabs = await self.source.poll(timeout_ms)
        began = time.monotonic()
        await self._take(slabs)
        if slabs:
            self.source.note(time.monotonic() - began, self.in_flight / self._settings.consume.max_in_flight)
        self._metrics.set("sluice_publish_waiting", self.in_flight, queue=self.queue)
        await self.source.commit()

    async def _hold_back(self) -> None:
        """Fetches nothing while too much is in flight, but keeps polling, so that the group keeps us."""
        most = self._settings.consume.max_in_flight
        if self.in_flight <= most:
            return
        began = time.monotonic()
        self.source.pause(True)
        while self.in_flight > most // 2 and not self._stopping.is_set():
            await self._turn(50)  # hands out what was fetched before the pause
        self.source.pause(False)
        self._metrics.count("sluice_consume_paused_seconds_total", time.monotonic() - began)

    def _put(self, partition: Partition, next_offset: int, items: Sequence[Any]) -> None:
        """Hands on what was made of a partition up to an offset."""
        work = self._offsets.begin(partition, next_offset, 1 if items else 0)
        if work is not None:
            self._delivery.put(Parcel(partition, next_offset, items, lambda: self._offsets.finish(partition, work)))

    def _put_between(self, partition: Partition, items: Sequence[Any]) -> None:
        """Hands on what was made of no further input of a partition."""
        self._delivery.put(Parcel(partition, None, items, lambda: None))

    def _put_beside(self, items: Sequence[Any]) -> None:
        """Hands on what was made of no input."""
        self._delivery.put(Parcel(None, None, items, lambda: None))

    def _producer(self, batch_bytes: int, transactional_id: str | None = None, seconds: float = 0.0) -> AIOKafkaProducer:
        return source.producer(self._settings, batch_bytes, transactional_id, seconds)

    def _alert(self, alert: Alert, since: int, route: str | None) -> Message:
        """An alert as it is sent. ``since`` is when its record was written, in milliseconds; -1: nobody knows."""

        def acknowledged() -> None:
            self._metrics.count("sluice_publish_alerts_total", sink=kafka.NAME, severity=alert.severity)
            if since > 0:
                self._metrics.observe("sluice_publish_end_to_end_seconds", max(0.0, time.time() - since / 1000))

        topic, key = route or self._settings.publish.topic, alert.fingerprint.encode()
        where = alert.body["location"]
        place = (where.get("topic", ""), where.get("partition", 0), where.get("offset", 0))
        rejected = partial(self._rejected, alert.fingerprint, place)

        def shortened() -> Message:
            return Message(topic, key, _encode(native.shortened(alert.body)), instead=rejected, acknowledged=acknowledged)

        return Message(topic, key, _encode(alert.body), instead=shortened, acknowledged=acknowledged)

    def _rejected(self, fingerprint: str, place: tuple[str, int, int]) -> Message:
        """The dead letter of an alert that its topic never takes; ``place`` is that of the record it came from."""
        headers = deadletter.rejected(*place, __version__)
        return Message(self._settings.dead_letters.topic, fingerprint.encode(), None, headers)

    async def _drain(self) -> bool:
        if await self._delivery.drain(self._settings.consume.drain_timeout_ms / 1000):
            return True
        _log.warning("deliveries not finished in time, they will come again", count=self.in_flight)
        return False

    def _advance(self, positions: dict[Partition, int]) -> None:
        assert isinstance(self._delivery, ExactlyOnce)
        self._delivery.advance(positions)

    async def _open(self, partitions: set[Partition]) -> None:
        await self._delivery.open(partitions)

    async def _close(self) -> None:
        await self._delivery.close()

    async def _take(self, slabs: list[Slab]) -> None:
        raise NotImplementedError

    def _compose(self, items: Sequence[Any]) -> tuple[list[Message], list[Message]]:
        raise NotImplementedError
