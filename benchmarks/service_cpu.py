"""What the service costs: CPU per record of the running service beside bare aiokafka consumers of the same topic.

Each is a process of its own that takes the whole topic, once a long and once a short one; the difference counts, so that
starting up does not. Client CPU, user and system, as the kernel tells it when the process ends. Medians of several rounds,
taken in turn, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks import corpora
from benchmarks.brokers import ApacheKafka, Broker, EmbeddedBroker
from service import app
from service.sources.embedded_broker import free_port

PARTITIONS = 4
VARIANTS = ("untuned", "tuned", "sluice")
_PATIENCE_SECONDS = 300.0


class Row(NamedTuple):
    """CPU in microseconds a record."""

    size: int
    untuned: float
    tuned: float
    sluice: float
    broker: str


def records(size: int, count: int) -> list[bytes]:
    """Log events of about so many bytes each, drawn from a pool: making them costs next to nothing."""
    lines = [line.decode().rstrip("\n") for line in corpora.logs(4 * 1024 * 1024)]
    pool: list[bytes] = []
    message, at = "", 0
    while len(pool) < 2000:
        while len(message) < size - 120:
            message += lines[at % len(lines)] + " "
            at += 1
        document = {"type": "log", "time": "2026-03-01T10:00:00Z", "source": "/var/log/app.log", "host": "node-7"}
        pool.append(json.dumps({**document, "message": message[: size - 120]}).encode())
        message = message[size - 120 :]
    return [pool[number % len(pool)] for number in range(count)]


async def fill(broker: Broker, topic: str, values: list[bytes], partitions: int = PARTITIONS) -> None:
    """Makes a topic of these records, spread over its partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, enable_idempotence=False, linger_ms=20)
    await producer.start()
    try:
        at = 0
        while at < len(values):
            batch = producer.create_batch()
            while at < len(values) and batch.append(key=None, value=values[at], timestamp=None):
                at += 1
            await producer.send_batch(batch, topic, partition=(at // 16) % partitions)
        await producer.flush()
    finally:
        await producer.stop()


def environment(broker: Broker, topic: str, port: int) -> dict[str, str]:
    """What the service is told: this topic, a group of its own, an endpoint at this port."""
    timeout = broker.session_timeout_ms
    return {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": broker.address,
        "KAFKA_GROUP_ID": f"bench-{uuid.uuid4().hex[:8]}",
        "SLUICE_KAFKA__SESSION_TIMEOUT_MS": str(timeout),
        "SLUICE_KAFKA__HEARTBEAT_INTERVAL_MS": str(timeout // 4),
        "SLUICE_KAFKA__IDEMPOTENCE": str(broker.idempotence).lower(),
        "SLUICE_CONSUME__DRAIN_TIMEOUT_MS": "3000",
        "SLUICE_CONSUME__TOPICS": topic,
        "SLUICE_FINGERPRINT__KEY": "a key for measuring, and only for that",
        "SLUICE_TELEMETRY__PORT": str(port),
        "SLUICE_TELEMETRY__LOG_LEVEL": "error",
    }


def _consumed(port: int) -> float:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return 0.0
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("sluice_consume_records_total{"))


def _cpu(variant: str, broker: Broker, topic: str, count: int) -> float:
    """CPU seconds of one process that takes the topic."""
    port = free_port()
    if variant == "sluice":
        process = subprocess.Popen([sys.executable, "-m", "service", "run"], env=environment(broker, topic, port))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while _consumed(port) < count:
            if time.monotonic() > deadline or process.poll() is not None:
                process.kill()
                raise RuntimeError(f"the service took {_consumed(port):.0f} of {count} records")
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
    else:
        command = [sys.executable, "-m", "benchmarks.consumer", broker.address, topic, str(count), variant]
        process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{variant} ended with {status}")
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _broker() -> Iterator[tuple[Broker, str]]:
    if shutil.which("java") and shutil.which("mvn"):
        with tempfile.TemporaryDirectory() as folder, ApacheKafka(Path(folder)) as kafka:
            yield kafka, "Apache Kafka"
    else:
        with EmbeddedBroker() as embedded:
            yield embedded, "embedded broker (no Java here)"


def measure(sizes: tuple[int, ...] = (400, 1024, 3400), megabytes: int = 500, rounds: int = 3) -> list[Row]:
    """The CPU per record of every variant, for records of these sizes, so many megabytes of each."""
    app.load_database()  # compiled and cached before anything is measured
    rows = []
    with _broker() as (broker, name):
        for size in sizes:
            long = megabytes * 1_000_000 // size
            short = long // 10
            topics = {number: f"bench-{size}-{number}-{uuid.uuid4().hex[:6]}" for number in (long, short)}
            for number, topic in topics.items():
                asyncio.run(fill(broker, topic, records(size, number)))
            took: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
            for _ in range(rounds):
                for variant in VARIANTS:
                    difference = _cpu(variant, broker, topics[long], long) - _cpu(variant, broker, topics[short], short)
                    took[variant].append(difference / (long - short) * 1e6)
            untuned, tuned, sluice = (statistics.median(took[variant]) for variant in VARIANTS)
            rows.append(Row(size, untuned, tuned, sluice, name))
    return rows
