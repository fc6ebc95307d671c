"""From a record produced to its alert readable, while clean records flow."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.brokers import ApacheKafka, Broker
from benchmarks.service_cpu import PARTITIONS, records
from benchmarks.workers import KEY, Worker
from service import app, proof
from service.publish.fingerprint import Fingerprinter
from service.records import Secret

RECORD_BYTES = 1024
LEAKS_PER_SECOND = 20


class Row(NamedTuple):
    """Milliseconds, and the service's share of a core. ``hop`` is what a record takes to its reader without the service."""

    way: str
    leaks: int
    hop: float
    p50: float
    p99: float
    worst: float
    cpu: float


def measure(rate: int = 20_000, seconds: float = 20.0) -> list[Row]:
    """Latency at a rate of records a second: at least once, without suppression of repeats, and exactly once."""
    ways = {
        "at least once": {},
        "at least once, repeats.enabled = false": {"SLUICE_REPEATS__ENABLED": "false"},
        "exactly once": {"SLUICE_PUBLISH__DELIVERY": "exactly_once"},
    }
    with tempfile.TemporaryDirectory() as folder, ApacheKafka(Path(folder)) as broker:
        return [asyncio.run(_way(broker, way, environment, rate, seconds)) for way, environment in ways.items()]


async def _way(broker: Broker, way: str, environment: dict[str, str], rate: int, seconds: float) -> Row:
    unique = uuid.uuid4().hex[:8]
    events, alerts, hops = f"events-{unique}", f"alerts-{unique}", f"hops-{unique}"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (events, alerts, hops)])
    await admin.close()
    names = {"KAFKA_GROUP_ID": f"bench-{unique}", "SLUICE_CONSUME__TOPICS": events, "SLUICE_PUBLISH__TOPIC": alerts}
    worker = Worker(broker, {**names, **environment})
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    passed: dict[str, float] = {}
    consumer = AIOKafkaConsumer(
        alerts,
        hops,
        bootstrap_servers=broker.address,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=10,
    )
    try:
        await asyncio.to_thread(worker.await_ready)
        await consumer.start()
        reading = asyncio.create_task(_read(consumer, seen, passed))
        began = worker.cpu()
        await _feed(broker, events, hops, rate, seconds, sent)
        used = worker.cpu() - began
        deadline = time.monotonic() + 20
        while len(seen) < len(sent) and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        reading.cancel()
    finally:
        await consumer.stop()
        worker.stop()
    if missing := sent.keys() - seen.keys():
        raise RuntimeError(f"{len(missing)} of {len(sent)} leaks have no alert")
    taken = sorted(1000 * (seen[one] - moment) for one, moment in sent.items())
    hop = sorted(1000 * (passed[one] - moment) for one, moment in sent.items() if one in passed)
    return Row(way, len(taken), _at(hop, 0.5), _at(taken, 0.5), _at(taken, 0.99), taken[-1], used / seconds)


def _at(rising: list[float], share: float) -> float:
    return rising[min(len(rising) - 1, int(len(rising) * share))]


async def _read(consumer: Any, seen: dict[str, float], passed: dict[str, float]) -> None:
    while True:
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            now = time.monotonic()
            for record in batch:
                if record.topic.startswith("hops-"):
                    passed[record.value.decode()] = now
                    continue
                seen.setdefault(json.loads(record.value)["secret"]["fingerprint"], now)


async def _feed(broker: Broker, topic: str, hops: str, rate: int, seconds: float, sent: dict[str, float]) -> None:
    """Clean records in batches, and leaks between them, each of another secret."""
    loaded, _ = app.load_database()
    detector = next(one for one in loaded.detectors if one.id == "github-personal-access-token")
    maker, rng = Fingerprinter(KEY.encode()), random.Random()
    pool = records(RECORD_BYTES, 2000)
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, enable_idempotence=False, max_batch_size=256 * 1024)
    beside = AIOKafkaProducer(bootstrap_servers=broker.address, enable_idempotence=False)
    await producer.start()
    await beside.start()
    try:
        began, produced, at = time.monotonic(), 0, 0
        while (now := time.monotonic()) - began < seconds:
            due = min(int((now - began) * rate) - produced, 400)  # no more at once: the reader lives here too
            while due > 0:
                batch = producer.create_batch()
                while due > 0 and batch.append(key=None, value=pool[at % len(pool)], timestamp=None):
                    at, due, produced = at + 1, due - 1, produced + 1
                await producer.send_batch(batch, topic, partition=(at // 16) % PARTITIONS)
            if len(sent) < (now - began) * LEAKS_PER_SECOND and now - began > 2:  # the first seconds are for warming up
                secret = proof.secret_of(detector, rng)
                fingerprint = maker.secret(Secret(secret))
                sent[fingerprint] = time.monotonic()
                await beside.send(topic, b'{"type": "log", "message": "token %s"}' % secret)
                await beside.send(hops, fingerprint.encode())
            await asyncio.sleep(0.001)
        await producer.flush()
    finally:
        await beside.stop()
        await producer.stop()
