"""Ten million records through one worker: does its memory stay where it was, and is every planted leak found?

The topic keeps less than what goes through it: the feed stays a bounded way ahead of the worker, so that the disk holds and
nothing that is unread is dropped.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.brokers import ApacheKafka
from benchmarks.service_cpu import PARTITIONS, records
from benchmarks.workers import KEY, Worker
from service import app, proof
from service.publish.fingerprint import Fingerprinter
from service.records import Secret

RECORD_BYTES = 400
LEAK_EVERY = 5_000
"""One record in so many holds a secret, each another one."""
_AHEAD = 400_000
"""Records that the feed may be ahead of the worker: far less than the topic keeps."""
_SAMPLE_SECONDS = 2.0
_BATCH_BYTES = 128 * 1024
_SETTLE_SECONDS = 120.0
_BARS = "▁▂▃▄▅▆▇█"


class Sample(NamedTuple):
    """One look at the worker: seconds since the start, resident memory in MB, records so far."""

    at: float
    memory: float
    records: float


class Outcome(NamedTuple):
    """What came of it. ``first`` and ``last`` are medians of a minute's memory in MB (of a quarter of a shorter run)."""

    records: int
    seconds: float
    first: float
    last: float
    most: float
    planted: int
    found: int
    repeated: int
    samples: list[Sample]

    @property
    def ratio(self) -> float:
        """Of the last minute's memory to the first one's."""
        return self.last / self.first


def sparkline(values: list[float], width: int = 60) -> str:
    """The values as bars from 0 to the largest, so many of them at most."""
    step = max(1, -(-len(values) // width))
    means = [statistics.fmean(values[at : at + step]) for at in range(0, len(values), step)]
    top = max(means, default=0.0) or 1.0
    return "".join(_BARS[min(len(_BARS) - 1, int(mean / top * len(_BARS)))] for mean in means)


def measure(count: int = 10_000_000, delivery: str = "at_least_once") -> Outcome:
    """Sends so many records through a worker on Apache Kafka."""
    app.load_database()
    settings = {
        "log.retention.bytes": str(128 << 20),
        "log.segment.bytes": str(32 << 20),
        "log.retention.check.interval.ms": "5000",
    }
    with tempfile.TemporaryDirectory() as folder, ApacheKafka(Path(folder), settings) as broker:
        return asyncio.run(_Soak(broker, count, delivery).run())


class _Soak:
    def __init__(self, broker: ApacheKafka, count: int, delivery: str) -> None:
        self._broker = broker
        self._count = count
        unique = uuid.uuid4().hex[:8]
        self._events, self._alerts = f"events-{unique}", f"alerts-{unique}"
        self._worker = Worker(
            broker,
            {
                "KAFKA_GROUP_ID": f"soak-{unique}",
                "SLUICE_CONSUME__TOPICS": self._events,
                "SLUICE_PUBLISH__TOPIC": self._alerts,
                "SLUICE_PUBLISH__DELIVERY": delivery,
                "SLUICE_PUBLISH__MIN_CONFIDENCE": "high",
            },
        )
        loaded, _ = app.load_database()
        self._detector = next(one for one in loaded.detectors if one.id == "github-personal-access-token")
        self._fingerprinter = Fingerprinter(KEY.encode())
        self._planted: set[str] = set()
        self._samples: list[Sample] = []
        self._began = 0.0

    async def run(self) -> Outcome:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._broker.address)
        await admin.start()
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (self._events, self._alerts)])
        await admin.close()
        try:
            await asyncio.to_thread(self._worker.await_ready)
            self._began = time.monotonic()
            sampling = asyncio.create_task(self._sample())
            await self._feed()
            deadline = time.monotonic() + _SETTLE_SECONDS
            while self._done < self._count and time.monotonic() < deadline:
                await asyncio.sleep(0.2)
            seconds = time.monotonic() - self._began
            sampling.cancel()
            found = await self._read()
        finally:
            self._worker.stop()
        part = min(60.0, seconds / 4)
        return Outcome(
            int(self._done),
            seconds,
            statistics.median(sample.memory for sample in self._samples if sample.at <= part),
            statistics.median(sample.memory for sample in self._samples if sample.at >= self._samples[-1].at - part),
            max(sample.memory for sample in self._samples),
            len(self._planted),
            len(self._planted & set(found)),
            len(found) - len(set(found)),
            self._samples,
        )

    @property
    def _done(self) -> float:
        return self._samples[-1].records if self._samples else 0.0

    async def _sample(self) -> None:
        shown = 0.0
        while True:
            taken = await asyncio.to_thread(self._worker.metric, "sluice_consume_records_total", self._events)
            now = time.monotonic() - self._began
            self._samples.append(Sample(now, self._worker.memory(), taken))
            if sys.stderr.isatty() or now - shown >= 15:
                shown = now
                rate = taken / now if now else 0.0
                line = f"  {taken:>12,.0f} records  {rate:>9,.0f}/s  {self._samples[-1].memory:6.0f} MB"
                print(line, end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def _feed(self) -> None:
        pool = records(RECORD_BYTES, 20_000)
        rng = random.Random(7)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._broker.address, max_batch_size=_BATCH_BYTES, linger_ms=0, max_request_size=16 << 20
        )
        await producer.start()
        try:
            sent = partition = 0
            value: bytes | None = None
            under_way: list[Any] = []
            while sent < self._count:
                batch = producer.create_batch()
                while sent < self._count:
                    if value is None:
                        value = pool[sent % len(pool)] if sent % LEAK_EVERY else self._leak(rng)
                    if batch.append(key=None, value=value, timestamp=None) is None:
                        break  # full: the record goes into the next one
                    value = None
                    sent += 1
                partition = (partition + 1) % PARTITIONS
                under_way.append(await producer.send_batch(batch, self._events, partition=partition))
                if len(under_way) >= 4 * PARTITIONS:
                    await asyncio.gather(*under_way)
                    under_way.clear()
                while sent - self._done > _AHEAD:
                    await asyncio.sleep(0.1)
            await asyncio.gather(*under_way)
        finally:
            await producer.stop()

    def _leak(self, rng: random.Random) -> bytes:
        secret = proof.secret_of(self._detector, rng)
        self._planted.add(self._fingerprinter.secret(Secret(secret)))
        return b'{"type": "log", "host": "node-7", "message": "retrying with %s"}' % secret

    async def _read(self) -> list[str]:
        """The fingerprints of all alerts, once all planted ones are there or nothing more comes."""
        consumer = AIOKafkaConsumer(
            self._alerts,
            bootstrap_servers=self._broker.address,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        found: list[str] = []
        quiet = 0
        try:
            while quiet < 5:
                batch = [one for many in (await consumer.getmany(timeout_ms=1000)).values() for one in many]
                quiet = 0 if batch else quiet + 1
                found += [json.loads(one.value)["secret"]["fingerprint"] for one in batch]
        finally:
            await consumer.stop()
        return found
