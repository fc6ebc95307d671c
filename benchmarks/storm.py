"""One token printed a million times, over several workers that are restarted: how many alerts, and how much memory."""

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
from benchmarks.service_cpu import PARTITIONS
from benchmarks.workers import Worker
from service import app, proof

_PATIENCE_SECONDS = 1800.0


class Outcome(NamedTuple):
    """What came of a storm. Memory is resident, in MB, of the largest worker."""

    records: int
    workers: int
    restarts: int
    alerts: int
    firsts: int
    occurrences: int
    seconds: float
    memory_early: float
    memory_late: float


def measure(count: int = 1_000_000, workers: int = 4, restarts: int = 2, delivery: str = "at_least_once") -> Outcome:
    """Produces the storm, restarts all workers now and then, and reads the alerts."""
    with tempfile.TemporaryDirectory() as folder, ApacheKafka(Path(folder)) as broker:
        return asyncio.run(_storm(broker, count, workers, restarts, delivery))


async def _storm(broker: Broker, count: int, workers: int, restarts: int, delivery: str) -> Outcome:
    unique = uuid.uuid4().hex[:8]
    events, alerts = f"events-{unique}", f"alerts-{unique}"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic(events, PARTITIONS, 1), NewTopic(alerts, PARTITIONS, 1)])
    await admin.close()
    environment = {
        "KAFKA_GROUP_ID": f"storm-{unique}",
        "SLUICE_CONSUME__TOPICS": events,
        "SLUICE_PUBLISH__TOPIC": alerts,
        "SLUICE_PUBLISH__DELIVERY": delivery,
        "SLUICE_REPEATS__UPDATE_INTERVAL_SECONDS": "10",
    }
    loaded, _ = app.load_database()
    detector = next(one for one in loaded.detectors if one.id == "github-personal-access-token")
    line = b'{"type": "log", "host": "node-1", "message": "retrying with %s"}' % proof.secret_of(detector, random.Random())
    team = [Worker(broker, environment) for _ in range(workers)]
    found: list[dict[str, Any]] = []
    memory: list[float] = []
    reader = AIOKafkaConsumer(
        alerts, bootstrap_servers=broker.address, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await reader.start()
    try:
        await asyncio.gather(*(asyncio.to_thread(one.await_ready) for one in team))
        began = time.monotonic()
        feeding = asyncio.create_task(_feed(broker, events, line, count))
        done = 0
        while not found or found[-1]["occurrences"] < count:
            if time.monotonic() - began > _PATIENCE_SECONDS:
                raise RuntimeError(f"after {_PATIENCE_SECONDS:.0f} s the alerts tell of {found and found[-1]['occurrences']}")
            for batch in (await reader.getmany(timeout_ms=1000)).values():
                found += [json.loads(record.value) for record in batch]
            memory.append(max(one.memory() for one in team))
            if done < restarts and found and found[-1]["occurrences"] > count * (done + 1) / (restarts + 2):
                done += 1
                await asyncio.gather(*(asyncio.to_thread(one.stop) for one in team))
                team = [Worker(broker, environment) for _ in range(workers)]
                await asyncio.gather(*(asyncio.to_thread(one.await_ready) for one in team))
        await feeding
        seconds = time.monotonic() - began
    finally:
        await reader.stop()
        for one in team:
            one.kill()
    fifth = max(1, len(memory) // 5)
    firsts = len({alert["first_alert_id"] for alert in found})
    return Outcome(
        count,
        workers,
        done,
        len({alert["alert_id"] for alert in found}),
        firsts,
        found[-1]["occurrences"],
        seconds,
        max(memory[:fifth]),
        max(memory[-fifth:]),
    )


async def _feed(broker: Broker, topic: str, line: bytes, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, enable_idempotence=False, linger_ms=20)
    await producer.start()
    try:
        sent = turn = 0
        while sent < count:
            batch = producer.create_batch()
            while sent < count and batch.append(key=None, value=line, timestamp=None):
                sent += 1
            turn += 1
            await producer.send_batch(batch, topic, partition=turn % PARTITIONS)
        await producer.flush()
    finally:
        await producer.stop()
