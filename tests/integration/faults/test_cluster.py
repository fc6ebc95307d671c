"""Brokers of a cluster that die, come back and change places."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from benchmarks.brokers import Cluster
from service.publish.delivery import ExactlyOnce, Parcel
from service.publish.markers import Markers, told
from service.publish.sinks.kafka import Message
from service.telemetry.metrics import Metrics
from tests.integration.faults import admin
from tests.integration.faults.conftest import OpenStream

pytestmark = pytest.mark.integration


async def test_a_broker_killed_and_back_loses_nothing(cluster: Cluster, open_stream: OpenStream, delivery: str) -> None:
    stream = await open_stream(cluster.address, replicas=3, delivery=delivery)
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    await stream.until_found(20)
    node = cluster.nodes[(await admin.leaders(cluster.address, stream.events))[stream.rng.randrange(4)]]
    node.kill()
    await stream.until_found(20)
    node.start()
    await stream.until_found(20)
    await stream.reckon()
    assert worker.running


async def test_the_groups_coordinator_killed_loses_nothing(cluster: Cluster, open_stream: OpenStream, delivery: str) -> None:
    stream = await open_stream(cluster.address, replicas=3, delivery=delivery)
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    await stream.until_found(20)
    node = cluster.nodes[await admin.coordinator(cluster.address, stream.group)]
    node.kill()
    await stream.until_found(20)
    node.start()
    worker.kill()
    await worker.start().ready()
    await stream.reckon()


@pytest.mark.long
async def test_leaders_that_move_lose_nothing(cluster: Cluster, open_stream: OpenStream, delivery: str) -> None:
    stream = await open_stream(cluster.address, replicas=3, delivery=delivery)
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    await stream.until_found(20)
    before = await admin.leaders(cluster.address, stream.events)
    node = cluster.nodes[before[0]]
    await asyncio.to_thread(node.stop)  # hands its partitions over
    await stream.until_found(20)
    assert await admin.leaders(cluster.address, stream.events) != before
    await asyncio.to_thread(node.start)
    for _ in range(100):
        for topic in (stream.events, stream.alerts):
            await admin.elect_preferred(cluster.address, topic)
        if await admin.leaders(cluster.address, stream.events) == before:
            break
        await asyncio.sleep(0.1)
    assert await admin.leaders(cluster.address, stream.events) == before, "they were to move back"
    await stream.until_found(20)
    await stream.reckon()
    assert worker.running


@pytest.mark.long
async def test_too_few_replicas_delay_and_lose_nothing(cluster: Cluster, open_stream: OpenStream, delivery: str) -> None:
    stream = await open_stream(cluster.address, replicas=3, topics=False, delivery=delivery)
    on = [1, 2, 3]
    await admin.create_topic(cluster.address, stream.events, on=on, min_insync_replicas="1")
    await admin.create_topic(cluster.address, stream.alerts, on=on, min_insync_replicas="3")
    await admin.create_topic(cluster.address, stream.letters, on=on)
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    await stream.until_found(20)
    node = cluster.nodes[stream.rng.choice(on)]
    node.kill()
    await asyncio.sleep(6.0)  # alerts are refused: one replica is missing
    node.start()
    await stream.until_found(20)
    await stream.reckon()
    assert worker.running


async def test_a_sink_whose_broker_is_dead_delays_and_loses_nothing(
    cluster: Cluster, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(cluster.address, topics=False, delivery=delivery)
    await admin.create_topic(cluster.address, stream.events, replicas=3)
    await admin.create_topic(cluster.address, stream.letters, replicas=3)
    await admin.create_topic(cluster.address, stream.alerts, on=[3], min_insync_replicas="1")
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    await stream.until_found(20)
    cluster.nodes[3].kill()
    await asyncio.sleep(6.0)
    cluster.nodes[3].start()
    await stream.until_found(20)
    await stream.reckon()
    assert worker.running


async def test_a_coordinator_lost_within_transactions_doubles_and_loses_nothing(
    cluster: Cluster, open_stream: OpenStream
) -> None:
    stream = await open_stream(cluster.address, replicas=3, delivery="exactly_once")
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    await stream.until_found(20)
    for _ in range(2):
        partition = stream.rng.randrange(4)
        lost = await admin.coordinator(cluster.address, f"{stream.group}-{stream.events}-{partition}", transactional=True)
        await asyncio.sleep(stream.rng.uniform(0.0, 0.5))
        cluster.nodes[lost].kill()
        await stream.until_found(20)
        if stream.rng.random() < 0.5:  # who comes next has to end what was left open, with another coordinator
            worker.kill()
            await worker.start().ready()
        cluster.nodes[lost].start()
        await stream.until_found(20)
    await stream.reckon()
    assert worker.running


async def _until_led(cluster: Cluster, topic: str, led: bool) -> None:
    while True:
        with contextlib.suppress(KafkaError):  # a question may go to a node that is away
            if bool(await admin.leaders(cluster.address, topic)) is led:
                return
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("commit", [True, False])
async def test_what_ends_while_a_partition_has_no_leader_ends_there_too(cluster: Cluster, unique: str, commit: bool) -> None:
    await admin.create_topic(cluster.address, unique, partitions=1, on=[3], min_insync_replicas="1")
    markers = Markers()
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.address, transactional_id=unique, transaction_timeout_ms=60_000, metadata_max_age_ms=1000
    )
    markers.watch(producer)
    async with asyncio.timeout(120):
        await producer.start()
        await producer.begin_transaction()
        await producer.send_and_wait(unique, b"first")
        cluster.nodes[3].kill()
        await _until_led(cluster, unique, False)
        await asyncio.sleep(1.0)  # every node is to know it
        await (producer.commit_transaction() if commit else producer.abort_transaction())
        cluster.nodes[3].start()
        await _until_led(cluster, unique, True)
        settled = False
        while not settled:
            with contextlib.suppress(KafkaError):
                await markers.settle(producer, lambda tp, start: commit)
                settled = True
            await asyncio.sleep(0.1)
        await producer.begin_transaction()
        await producer.send_and_wait(unique, b"second")
        await (producer.abort_transaction() if commit else producer.commit_transaction())
        await producer.begin_transaction()
        await producer.send_and_wait(unique, b"last")
        await producer.commit_transaction()
        await producer.stop()
        found = await _read(cluster, unique, b"last")
    assert found == [b"first" if commit else b"second", b"last"]


class _NextOwner:
    """Exactly-once delivery of one input partition, its messages given by hand."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self._name = cluster, name
        self._source = TopicPartition(f"in-{name}", 0)
        self.transactional_id = f"{name}-{self._source.topic}-0"
        self._reader = AIOKafkaConsumer(bootstrap_servers=cluster.address, group_id=name, enable_auto_commit=False)
        self._delivery = ExactlyOnce(
            self._make, name, self._position, self._ignore, self._ignore, self._compose, Metrics(), lambda: {name}, 4.0, 1.0
        )

    def _make(self, batch_bytes: int, transactional_id: str | None = None, seconds: float = 0.0) -> AIOKafkaProducer:
        address = self._cluster.address
        return AIOKafkaProducer(bootstrap_servers=address, transactional_id=transactional_id, metadata_max_age_ms=1000)

    def _ignore(self, *_: Any) -> None:
        pass

    def _compose(self, items: Sequence[Any]) -> tuple[list[Message], list[Message]]:
        return [Message(self._name, None, item) for item in items], []

    async def _position(self, _: Any) -> tuple[int, str] | None:
        found = (await self._reader._coordinator.fetch_committed_offsets([self._source])).get(self._source)
        return None if found is None else (found.offset, found.metadata)

    def committed(self, offset: int, reached: dict[TopicPartition, int]) -> dict[TopicPartition, tuple[int, str]]:
        """What a transaction commits that came as far."""
        return {self._source: (offset, told("former", reached))}

    async def __aenter__(self) -> "_NextOwner":
        await self._reader.start()
        await self._delivery.start()
        await self._delivery.open({tuple(self._source)})
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._delivery.stop()
        await self._reader.stop()

    def put(self, item: bytes, offset: int) -> None:
        self._delivery.put(Parcel((self._source.topic, 0), offset, [item], lambda: None))

    async def delivered(self) -> None:
        assert await self._delivery.drain(90.0)
        self._delivery.check()


async def _read(cluster: Cluster, topic: str, last: bytes) -> list[bytes]:
    found: list[bytes] = []
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=cluster.address, auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        while last not in found:
            found.append((await consumer.getone()).value)
    return found


@pytest.mark.parametrize("ended", ["committed", "committed, and the next begun", "not"])
async def test_what_a_dead_owner_left_open_is_ended_by_the_next(cluster: Cluster, unique: str, ended: str) -> None:
    """Its partition had no leader when the transaction ended: whoever goes on has to know how, and where."""
    await admin.create_topic(cluster.address, unique, partitions=1, on=[3], min_insync_replicas="1")
    await admin.create_topic(cluster.address, f"in-{unique}", partitions=1, replicas=3)
    owner = _NextOwner(cluster, unique)
    former = owner._make(0, owner.transactional_id)
    async with asyncio.timeout(150):
        await former.start()
        await former.begin_transaction()
        where = await former.send_and_wait(unique, b"first")
        await former.send_offsets_to_transaction(owner.committed(1, {where.topic_partition: where.offset}), unique)
        if ended == "committed, and the next begun":
            await former.commit_transaction()
            await Markers().settle(former, lambda tp, start: True)
            await former.begin_transaction()
            await former.send_and_wait(unique, b"second")
        cluster.nodes[3].kill()
        await _until_led(cluster, unique, False)
        await asyncio.sleep(1.0)  # every node is to know it
        if ended == "committed":
            await former.commit_transaction()
        former._sender.sender_task.cancel()  # as if killed
        await former.client.close()
        former._closed = True
        async with owner:  # ends what is open, while the partition has no leader
            cluster.nodes[3].start()
            if ended == "not":
                owner.put(b"first", 1)
            owner.put(b"second", 2)
            await owner.delivered()
            owner.put(b"last", 3)
            await owner.delivered()
        found = await _read(cluster, unique, b"last")
    assert found == [b"first", b"second", b"last"]
