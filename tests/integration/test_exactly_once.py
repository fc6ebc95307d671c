"""Exactly-once delivery on Apache Kafka: whoever reads at read-committed sees each alert once, whatever happens to workers."""

import asyncio
import json
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.brokers import Broker
from service import proof
from service.app import Service
from service.settings import Settings
from tests.integration.test_repeats import settings_of, workers
from tests.integration.test_stream import leaks, produce, running

pytestmark = pytest.mark.integration


def exactly(broker: Broker, unique: str, **repeats: Any) -> Settings:
    settings = settings_of(broker, unique, **repeats)
    return msgspec.structs.replace(settings, publish=msgspec.structs.replace(settings.publish, delivery="exactly_once"))


async def committed(broker: Broker, topic: str, least: int, seconds: float = 120.0) -> list[dict[str, Any]]:
    """What a reader at read-committed sees, once so much is there and no more comes."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker.address,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    found: list[Any] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                batch = [r for records in (await consumer.getmany(timeout_ms=1500)).values() for r in records]
                found += batch
                if len(found) >= least and not batch:
                    return [json.loads(record.value) for record in found]
    except TimeoutError:
        return [json.loads(record.value) for record in found]
    finally:
        await consumer.stop()


@pytest.mark.parametrize("suppressed", [True, False])
async def test_each_leak_is_one_alert(apache_kafka: Broker, unique: str, suppressed: bool) -> None:
    settings = exactly(apache_kafka, unique, enabled=suppressed)
    async with running(settings) as service:
        made = leaks(service, 0, seed=7).records(3000)
        await produce(apache_kafka, settings.consume.topics[0], [m.value for m in made])
        planted = [service.fingerprint(m.leak.encode("latin-1")) for m in made if m.leak]
        found = await committed(apache_kafka, settings.publish.topic, len(planted))
    assert Counter(alert["secret"]["fingerprint"] for alert in found) == Counter(planted)


async def test_clean_records_are_committed_too(apache_kafka: Broker, unique: str) -> None:
    settings = exactly(apache_kafka, unique)
    topic = settings.consume.topics[0]
    async with running(settings):
        await produce(apache_kafka, topic, [b"clean %d" % n for n in range(1000)])
        await asyncio.sleep(2.5)
    async with running(settings) as service:
        await produce(apache_kafka, topic, [b"one more"])
        async with asyncio.timeout(20):
            while not service.metrics.value("sluice_consume_records_total", topic=topic):
                await asyncio.sleep(0.1)
        assert service.metrics.value("sluice_consume_records_total", topic=topic) == 1


async def test_workers_that_are_killed_and_rebalanced_lose_nothing_and_double_nothing(
    apache_kafka: Broker, unique: str, tmp_path: Path
) -> None:
    settings = exactly(apache_kafka, unique)
    service = Service(settings)
    made = leaks(service, 0, seed=23).records(40_000)
    planted = Counter(service.fingerprint(m.leak.encode("latin-1")) for m in made if m.leak)
    topic, rng = settings.consume.topics[0], random.Random(5)
    producer = AIOKafkaProducer(bootstrap_servers=apache_kafka.address, enable_idempotence=True, linger_ms=5)
    fed = asyncio.Event()

    async def feed() -> None:
        async with producer:
            for number, one in enumerate(made):
                await producer.send(topic, one.value)
                if number % 200 == 199:
                    await asyncio.sleep(0.1)
        fed.set()

    with workers(settings, tmp_path) as team:
        await team.start(2)
        feeding = asyncio.create_task(feed())
        kills = 0
        while not fed.is_set():
            await asyncio.sleep(rng.uniform(2.0, 5.0))
            team.kill(rng.randrange(len(team.running)))
            kills += 1
            await team.start()
        await feeding
        found = await committed(apache_kafka, settings.publish.topic, planted.total(), 180.0)
        await asyncio.to_thread(team.stop)
    seen = Counter(alert["secret"]["fingerprint"] for alert in found)
    print(f"{planted.total()} planted, {seen.total()} alerts, {kills} kills")
    assert kills >= 2
    assert not planted - seen, f"{(planted - seen).total()} lost after {kills} kills"
    assert not seen - planted, f"{(seen - planted).total()} doubled after {kills} kills"


async def test_a_worker_that_stood_still_is_fenced(apache_kafka: Broker, unique: str, tmp_path: Path) -> None:
    settings = exactly(apache_kafka, unique)
    service = Service(settings)
    made = leaks(service, 0, seed=31).records(12_000)
    planted = Counter(service.fingerprint(m.leak.encode("latin-1")) for m in made if m.leak)
    topic = settings.consume.topics[0]
    with workers(settings, tmp_path) as team:
        await team.start(2)
        feeding = asyncio.create_task(produce(apache_kafka, topic, [m.value for m in made[:6000]]))
        await committed(apache_kafka, settings.publish.topic, 20)
        team.running[0].send_signal(signal.SIGSTOP)  # with a transaction open, perhaps
        await feeding
        await asyncio.sleep(9.0)  # longer than the session: its partitions are another's now
        feeding = asyncio.create_task(produce(apache_kafka, topic, [m.value for m in made[6000:]]))
        team.running[0].send_signal(signal.SIGCONT)
        await feeding
        found = await committed(apache_kafka, settings.publish.topic, planted.total(), 120.0)
        await asyncio.to_thread(team.stop)
    assert Counter(alert["secret"]["fingerprint"] for alert in found) == planted


async def test_occurrences_are_right_after_crashes(apache_kafka: Broker, unique: str, tmp_path: Path) -> None:
    settings = exactly(apache_kafka, unique, update_interval_seconds=3.0)
    service = Service(settings)
    detector = next(d for d in service.detectors if d.id == "github-personal-access-token")
    secret, topic, total = proof.secret_of(detector, random.Random(3)), settings.consume.topics[0], 12_000
    with workers(settings, tmp_path) as team:
        await team.start(2)
        for _ in range(3):
            await produce(apache_kafka, topic, [b"token " + secret] * (total // 3))
            await asyncio.sleep(1.0)
            team.kill(0)
            await team.start()
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(120):
            while not found or found[-1]["occurrences"] < total:
                found = await committed(apache_kafka, settings.publish.topic, len(found) + 1, 10.0)
        await asyncio.to_thread(team.stop)
    assert found[-1]["occurrences"] == total
    assert [alert["update"] for alert in found] == list(range(len(found)))
    assert len({alert["alert_id"] for alert in found}) == len(found)
