"""How far behind a consumer is: in records, and in the age of the oldest one that is not processed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from service.consume.batches import Slab
from service.consume.offsets import Offsets, Partition
from service.telemetry.metrics import Metrics

_ASKED_EVERY_SECONDS: Final = 5.0
"""While nothing is fetched no answer tells where the partitions end, and the broker is asked, this often."""


class _Taken(NamedTuple):
    """What was handed on at once. The time is in milliseconds, -1 if none is known."""

    first_offset: int
    next_offset: int
    timestamp: int


class Lag:
    """Keeps the times of what was taken, until it is done.

    Args:
        offsets: how far everything is done.
        metrics: the process's.
        ages: True where the age is told as well; of several consumers in a process only one does.
        now: the clock, in seconds since 1970.
    """

    def __init__(self, offsets: Offsets, metrics: Metrics, ages: bool, now: Callable[[], float] = time.time) -> None:
        self._offsets = offsets
        self._metrics = metrics
        self._ages = ages
        self._now = now
        self._taken: dict[Partition, deque[_Taken]] = {}
        self._last: dict[Partition, int] = {}
        """The time of what was done last."""
        self._ends: dict[TopicPartition, int] = {}
        self._asked = 0.0

    def taken(self, slabs: Iterable[Slab]) -> None:
        """Takes note of what was fetched and is handed on."""
        for slab in slabs:
            queue = self._taken.get((slab.topic, slab.partition))
            if queue is None:
                queue = self._taken[slab.topic, slab.partition] = deque()
            queue.append(_Taken(slab.first_offset, slab.next_offset, slab.timestamp))

    async def tell(self, consumer: Any, paused: bool) -> None:
        """Sets the gauges for what is assigned now.

        Args:
            consumer: aiokafka's.
            paused: nothing is fetched at the moment.
        """
        assigned = consumer.assignment()
        if paused and time.monotonic() - self._asked > _ASKED_EVERY_SECONDS:
            self._asked = time.monotonic()
            try:
                async with asyncio.timeout(_ASKED_EVERY_SECONDS):
                    self._ends = await consumer.end_offsets(assigned)
            except (KafkaError, ValueError, TimeoutError):
                self._ends = {}
        oldest: float | None = None
        for tp in assigned:
            partition = (tp.topic, tp.partition)
            waiting = self._not_done(partition)
            end = max(consumer.highwater(tp) or 0, self._ends.get(tp, 0) if paused else 0)
            # what is done may be followed by markers of transactions alone, which make no work
            position = waiting[0].first_offset if waiting else _position(consumer, tp)
            if position is None or consumer.highwater(tp) is None:
                continue
            behind = max(0, end - position)
            self._metrics.set("sluice_consume_lag_records", behind, topic=tp.topic, partition=str(tp.partition))
            stamp = waiting[0].timestamp if waiting else self._last.get(partition, -1) if behind else -1
            if stamp > 0:
                oldest = min(stamp / 1000, oldest or stamp / 1000)
        if self._ages:
            age = 0.0 if oldest is None else max(0.0, self._now() - oldest)
            self._metrics.set("sluice_consume_oldest_record_age_seconds", age)

    def _not_done(self, partition: Partition) -> deque[_Taken]:
        queue = self._taken.get(partition)
        if queue is None:
            return deque()
        done = self._offsets.position(partition)
        while queue and done is not None and queue[0].next_offset <= done:
            self._last[partition] = queue.popleft().timestamp
        return queue

    def forget(self, topics: set[str]) -> None:
        """The partitions were revoked: how far behind they are is no longer ours to tell."""
        self._taken.clear()
        self._last.clear()
        self._ends = {}
        self._metrics.forget_lag(topics)
        if self._ages:
            self._metrics.set("sluice_consume_oldest_record_age_seconds", 0.0)


def _position(consumer: Any, tp: TopicPartition) -> int | None:
    """The next offset that is taken, if that is known already; the library's own question would wait for it."""
    subscription = consumer._subscription.subscription
    if subscription is None or subscription.assignment is None or tp not in subscription.assignment.tps:
        return None
    state = subscription.assignment.state_value(tp)
    return int(state.position) if state.has_valid_position else None
