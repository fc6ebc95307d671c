"""How fast one core looks through source files and log lines, in records of several sizes.

Three figures beside each other, in one run: the bare engine, called once a record; Sluice's hits, records joined as Kafka
delivers them; and the whole way, candidates extracted and judged. CPU time of the thread: of each batch the best of several
rounds, in each of which all of the corpus is gone through, so that what others do to the machine counts least.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import hyperscan
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from benchmarks import corpora
from service import app
from service.consume.batches import Batch, Slab
from service.detect.database import Database
from service.records import Confidence

WHOLE = 0
SIZES = (WHOLE, 4096, 1024, 300)
"""Bytes a record; whole files or lines first."""

_BATCH_BYTES = 256 * 1024
_HEADER_BYTES = 61
_Part = TypeVar("_Part")


class Row(NamedTuple):
    """Rates in MB/s (10**6 bytes of the records' values)."""

    corpus: str
    size: int
    bare: float
    hits: float
    whole: float
    findings: int


def batches(records: Sequence[bytes]) -> list[list[bytes]]:
    """The records as they go into record batches, some 256 KB together."""
    found: list[list[bytes]] = []
    size = _BATCH_BYTES
    for record in records:
        if size >= _BATCH_BYTES:
            found.append([])
            size = 0
        found[-1].append(record)
        size += len(record)
    return found


def slabs(records: Sequence[bytes]) -> list[Slab]:
    """The records as record batches of Kafka's format, as a fetch brings them."""
    return [_slab(batch) for batch in batches(records)]


def _slab(records: Sequence[bytes]) -> Slab:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for index, record in enumerate(records):
        builder.append(index, 0, None, record, [])
    data, count = bytes(builder.build()), len(records)
    return Slab("corpus", 0, data, [Batch(_HEADER_BYTES, len(data), 0, count, 0, 0, count)], 0)


def _best(work: Callable[[_Part], int], parts: Sequence[_Part], rounds: int) -> tuple[float, int]:
    """Seconds for all parts, each at its best, and the sum of what the work gave."""
    best = [float("inf")] * len(parts)
    result = 0
    for _ in range(rounds):
        result = 0
        for index, part in enumerate(parts):
            began = time.thread_time()
            result += work(part)
            best[index] = min(best[index], time.thread_time() - began)
    return sum(best), result


def _bare(database: Database) -> Callable[[Sequence[bytes]], int]:
    scratch = hyperscan.Scratch(database.compiled)
    found: list[int] = []

    def on_match(pattern: int, *rest: object) -> None:
        found.append(pattern)

    def scan(records: Sequence[bytes]) -> int:
        found.clear()
        for record in records:
            database.compiled.scan(record, match_event_handler=on_match, scratch=scratch)
        return len(found)

    return scan


def measure(rounds: int = 5, sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """The rates of every corpus and size."""
    database, _ = app.load_database()
    inspector = app.inspector(database, Confidence.medium)
    rows = []
    for corpus in corpora.KINDS:
        texts = corpora.of_kind(corpus)
        for size in sizes:
            records = corpora.cut(texts, size) if size else list(texts)
            megabytes = sum(map(len, records)) / 1e6
            parts = slabs(records)
            bare, _ = _best(_bare(database), batches(records), rounds)
            hits, _ = _best(lambda part: len(inspector.hits(part.data)), parts, rounds)
            whole, findings = _best(lambda part: sum(len(one.found) for one in inspector.slabs([part])[0]), parts, rounds)
            rows.append(Row(corpus, size, megabytes / bare, megabytes / hits, megabytes / whole, findings))
    return rows
