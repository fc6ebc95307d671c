"""What a second worker is worth: records a second, and CPU a record, of one and of two workers on the same topic.

A topic is filled, then taken whole by ``sluice run`` and by ``sluice run --workers 2``, in turn. The rate is that from when all
workers have joined to nine tenths of the records, so that starting and joining do not count. CPU is what the processes tell of
themselves over the same stretch; the broker's is the kernel's. Where other things run on the machine, the rates suffer and
the CPU a record does not: ``of CPU`` is what two workers do with a core each, of what one does with one.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import NamedTuple

from benchmarks.brokers import ApacheKafka
from benchmarks.service_cpu import environment, fill, records
from service import app
from service.sources.embedded_broker import free_port

PARTITIONS = 8
_SIZE = 1024
_PATIENCE_SECONDS = 300.0
_POLLED_EVERY_SECONDS = 0.7
"""Seldom: adding up the workers' metrics costs CPU too."""
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Row(NamedTuple):
    """One number of workers."""

    workers: int
    rate: float
    """Records a second."""
    cpu: float
    """Of the service, microseconds a record, the supervisor's among it."""
    broker: float
    """Of the broker, cores busy."""
    busy: float
    """Of the service, cores busy."""


class Sample(NamedTuple):
    """What is seen at one moment."""

    at: float
    records: float
    cpu: float
    broker: float


def _sample(port: int, broker: int) -> Sample | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except (urllib.error.URLError, OSError):
        return None

    def total(name: str) -> float:
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    fields = Path(f"/proc/{broker}/stat").read_text().rsplit(")", 1)[1].split()
    spent = (int(fields[11]) + int(fields[12])) / _TICKS
    return Sample(time.monotonic(), total("sluice_consume_records_total"), total("process_cpu_seconds_total"), spent)


def _have_joined(port: int, workers: int) -> bool:
    """True if each of the workers has its partitions."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _run(workers: int, kafka: ApacheKafka, topic: str, count: int) -> Row:
    port = free_port()
    command = [sys.executable, "-m", "service", "run", "--workers", str(workers)]
    process = subprocess.Popen(command, env=environment(kafka, topic, port))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    first = last = None
    try:
        while True:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{workers} workers took {last.records if last else 0:.0f} of {count} records")
            seen = _sample(port, kafka.pid)
            if seen is not None and seen.records > 0 and (first is not None or _have_joined(port, workers)):
                first = first or seen
                last = seen
                if seen.records >= 0.9 * count:
                    break
            time.sleep(_POLLED_EVERY_SECONDS)
    finally:
        process.terminate()
        process.wait(60)
    assert first is not None
    assert last is not None
    if last.records <= first.records:
        raise RuntimeError("the topic is too short to measure on this machine: more megabytes")
    took, number = last.at - first.at, last.records - first.records
    spent = last.cpu - first.cpu
    return Row(workers, number / took, spent / number * 1e6, (last.broker - first.broker) / took, spent / took)


def measure(megabytes: int = 6000, rounds: int = 3) -> list[Row]:
    """One and two workers, medians of so many rounds."""
    app.load_database()  # compiled and cached before anything is measured
    count = megabytes * 1_000_000 // _SIZE
    topic = f"bench-workers-{uuid.uuid4().hex[:6]}"
    with tempfile.TemporaryDirectory() as folder, ApacheKafka(Path(folder)) as kafka:
        asyncio.run(fill(kafka, topic, records(_SIZE, count), PARTITIONS))
        found: dict[int, list[Row]] = {1: [], 2: []}
        for _ in range(rounds):
            for workers, rows in found.items():
                rows.append(_run(workers, kafka, topic, count))
    return [
        Row(workers, *(statistics.median(getattr(row, field) for row in rows) for field in Row._fields[1:]))
        for workers, rows in found.items()
    ]
