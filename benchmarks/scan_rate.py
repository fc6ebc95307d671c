"""How fast one core looks through source files and log lines, in records of several sizes.

Three figures beside each other, in one run: the bare engine, called once a record; Sluice's hits, records joined as Kafka
delivers them; and the whole way, candidates extracted and judged. CPU time of the thread, best of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import hyperscan
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from benchmarks import corpora
from service import app
from service.consume.batches import Batch, Slab
from service.detect.database import Database
from service.inspection import Inspector
from service.records import Confidence

WHOLE = 0
SIZES = (WHOLE, 4096, 1024, 300)
"""Bytes a record; whole files or lines first."""

_BATCH_BYTES = 256 * 1024
_HEADER_BYTES = 61


class Row(NamedTuple):
    """Rates in MB/s (10**6 bytes of the records' values)."""

    corpus: str
    size: int
    bare: float
    hits: float
    whole: float
    findings: int


def slabs(records: list[bytes]) -> list[Slab]:
    """The records as record batches of Kafka's format, as a fetch brings them."""
    found = []
    at = 0
    while at < len(records):
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
        count = size = 0
        while at < len(records) and size < _BATCH_BYTES:
            builder.append(count, 0, None, records[at], [])
            size += len(records[at])
            count, at = count + 1, at + 1
        data = bytes(builder.build())
        found.append(Slab("corpus", 0, data, [Batch(_HEADER_BYTES, len(data), 0, count, 0, 0, count)], 0))
    return found


def _best(work: Callable[[], int], rounds: int) -> tuple[float, int]:
    best, result = float("inf"), 0
    for _ in range(rounds):
        began = time.thread_time()
        result = work()
        best = min(best, time.thread_time() - began)
    return best, result


def _bare(database: Database, records: list[bytes]) -> int:
    count = 0
    scratch = hyperscan.Scratch(database.compiled)

    def on_match(*match: object) -> None:
        nonlocal count
        count += 1

    for record in records:
        database.compiled.scan(record, match_event_handler=on_match, scratch=scratch)
    return count


def _hits(inspector: Inspector, parts: list[Slab]) -> int:
    return sum(len(inspector.hits(part.data)) for part in parts)


def _whole(inspector: Inspector, parts: list[Slab]) -> int:
    return sum(len(found) for _, found, _ in inspector.slabs(parts)[0])


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
            bare, _ = _best(partial(_bare, database, records), rounds)
            hits, _ = _best(partial(_hits, inspector, parts), rounds)
            whole, findings = _best(partial(_whole, inspector, parts), rounds)
            rows.append(Row(corpus, size, megabytes / bare, megabytes / hits, megabytes / whole, findings))
    return rows
