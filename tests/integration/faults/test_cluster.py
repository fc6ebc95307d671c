"""Brokers of a cluster that die, come back and change places."""

import asyncio

import pytest

from benchmarks.brokers import Cluster
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
    cluster: Cluster, open_stream: OpenStream, delivery: str, request: pytest.FixtureRequest
) -> None:
    if delivery == "exactly_once":  # seen in three runs of five that ended; nothing was lost
        doubled = "an open fault: alerts are doubled where the only replica of their topic crashes; the cause is not found"
        request.applymarker(pytest.mark.xfail(reason=doubled, strict=False))
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
