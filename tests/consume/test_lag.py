"""How far behind: never below nothing, gone when the partitions are, and of the oldest record that still waits."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from service.consume.batches import Batch, Slab
from service.consume.lag import Lag
from service.consume.offsets import Offsets
from service.telemetry.metrics import Metrics

ONE, OTHER = ("events", 0), ("events", 1)
NOW = 1_000.0
"""Seconds; the records are written some seconds before."""


class Consumer:
    """What the library knows: assignment, ends, and the next offsets that it takes."""

    def __init__(self) -> None:
        self.ends: dict[TopicPartition, int | None] = {}
        self.positions: dict[TopicPartition, int] = {}
        self.asked = 0

    @property
    def _subscription(self) -> Any:
        states = {
            tp: SimpleNamespace(has_valid_position=tp in self.positions, position=self.positions.get(tp)) for tp in self.ends
        }
        return SimpleNamespace(
            subscription=SimpleNamespace(assignment=SimpleNamespace(tps=states.keys(), state_value=states.__getitem__))
        )

    def assignment(self) -> set[TopicPartition]:
        return set(self.ends)

    def highwater(self, tp: TopicPartition) -> int | None:
        return self.ends[tp]

    async def end_offsets(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        return dict.fromkeys(partitions, 500)


class Behind:
    """A consumer of two partitions."""

    def __init__(self) -> None:
        self.offsets, self.metrics, self.consumer = Offsets(), Metrics(), Consumer()
        self.lag = Lag(self.offsets, self.metrics, True, lambda: NOW)
        self.consumer.ends = {TopicPartition(*ONE): 100, TopicPartition(*OTHER): 10}
        self.consumer.positions = {TopicPartition(*ONE): 0, TopicPartition(*OTHER): 10}

    def take(self, partition: tuple[str, int], first: int, after: int, seconds_ago: float, pending: int) -> Any:
        stamp = int((NOW - seconds_ago) * 1000)
        batch = Batch(0, 1, first, after, stamp, -1, after - first)
        self.lag.taken([Slab(*partition, b"x", [batch], first)])
        self.consumer.positions[TopicPartition(*partition)] = after
        return self.offsets.begin(partition, after, pending)

    async def told(self, paused: bool = False) -> tuple[float, float, float]:
        await self.lag.tell(self.consumer, paused)
        value = self.metrics.value
        lags = [value("sluice_consume_lag_records", topic="events", partition=number) for number in "01"]
        return lags[0], lags[1], value("sluice_consume_oldest_record_age_seconds")


@pytest.fixture
def behind() -> Behind:
    return Behind()


async def test_before_anything_is_read_it_is_told_from_the_committed_position(behind: Behind) -> None:
    behind.consumer.positions[TopicPartition(*ONE)] = 30

    assert await behind.told() == (70, 0, 0)


async def test_what_is_in_flight_is_not_done(behind: Behind) -> None:
    first = behind.take(ONE, 0, 40, seconds_ago=90, pending=1)
    behind.take(ONE, 40, 100, seconds_ago=30, pending=0)

    assert await behind.told() == (100, 0, 90)
    behind.offsets.finish(ONE, first)
    assert await behind.told() == (0, 0, 0)


async def test_what_is_not_fetched_yet_is_no_older_than_what_was_done_last(behind: Behind) -> None:
    behind.take(ONE, 0, 40, seconds_ago=25, pending=0)

    assert await behind.told() == (60, 0, 25)


async def test_the_oldest_of_all_partitions_counts(behind: Behind) -> None:
    behind.take(ONE, 0, 100, seconds_ago=5, pending=1)
    behind.take(OTHER, 0, 10, seconds_ago=50, pending=1)

    assert (await behind.told())[2] == 50


async def test_it_is_never_below_nothing(behind: Behind) -> None:
    behind.take(ONE, 0, 120, seconds_ago=-60, pending=1)  # beyond the end that is known; by a clock ahead of ours
    behind.take(OTHER, 0, 30, seconds_ago=-60, pending=0)

    assert await behind.told() == (100, 0, 0)


async def test_markers_of_transactions_are_not_behind(behind: Behind) -> None:
    """They end the partition, make no record, and so never any work."""
    behind.take(ONE, 0, 98, seconds_ago=3, pending=0)
    behind.consumer.positions[TopicPartition(*ONE)] = 100

    assert await behind.told() == (0, 0, 0)


async def test_it_is_gone_with_the_partitions(behind: Behind) -> None:
    behind.take(ONE, 0, 40, seconds_ago=90, pending=1)
    await behind.told()

    behind.offsets.forget()
    behind.lag.forget({"events"})

    names = {sample.name for metric in behind.metrics.registry.collect() for sample in metric.samples}
    assert "sluice_consume_lag_records" not in names
    assert behind.metrics.value("sluice_consume_oldest_record_age_seconds") == 0
    behind.consumer.ends = {}
    assert await behind.told() == (0, 0, 0)


async def test_an_end_that_is_not_known_yet_tells_nothing(behind: Behind) -> None:
    behind.consumer.ends[TopicPartition(*ONE)] = None
    await behind.lag.tell(behind.consumer, False)

    assert behind.metrics.registry.get_sample_value("sluice_consume_lag_records", {"topic": "events", "partition": "0"}) is None


async def test_while_nothing_is_fetched_the_broker_is_asked_but_not_all_the_time(behind: Behind) -> None:
    behind.take(ONE, 0, 40, seconds_ago=90, pending=1)

    assert (await behind.told(paused=True))[0] == 500
    assert (await behind.told(paused=True))[0] == 500
    assert behind.consumer.asked == 1
