"""What all checks together cost on clean traffic: the same records looked through with and without them, turn about.

Clean are the records of the corpora in which nothing is found, at any confidence; what only looks like a secret is in them
still. Three ways beside each other, in one run: the first pass alone; with candidates cut out where something hit, and not
judged; and everything on: every check, an allow-list, rules, the audit, all confidences. CPU time of the thread, of each batch
the best of several rounds.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from benchmarks import corpora, scan_rate
from service import app
from service.consume.batches import Slab
from service.decode.flat import Flat
from service.detect.scanner import Hit
from service.inspection import Found, Inspector, Tally
from service.judge.policy import Policy
from service.judge.rules import Rules
from service.judge.suppression import Entry, Suppression
from service.publish.fingerprint import Fingerprinter
from service.records import Confidence, Event, Record
from service.settings import Rule

_SIZE: Final = 1024
_ENTRIES: Final = 100


class Row(NamedTuple):
    """Rates in MB/s (10**6 bytes of the records' values)."""

    corpus: str
    records: int
    hit: int
    """Records in which something hit."""
    first_pass: float
    unjudged: float
    everything: float


class _Unjudged(Inspector):
    """Cuts candidates out, and leaves it at that."""

    def event(
        self, event: Event, tally: Tally, record: Record | None = None, index: int = 0, hits: list[Hit] | None = None
    ) -> list[Found]:
        flat = Flat(event)
        known = hits if record is not None and flat.data is record.value else None
        candidates, _ = self._scanner.candidates(flat.data, known)
        tally.candidates += len(candidates)
        return []


def _policy() -> Policy:
    """A hundred entries of an allow-list and as many rules; none covers anything, so that each is looked at."""
    never = datetime.date(2999, 1, 1)
    entries = [
        Entry(owner="team", reason="r", expires=never, path=f"old/{number}/**", source=str(number))
        for number in range(_ENTRIES)
    ]
    rules = [Rule(repository=f"github.com/acme/{number}/*", tag="t") for number in range(_ENTRIES)]
    return Policy(Suppression(entries), Rules(rules), Fingerprinter(b"a key for measuring, and only for that").secret)


def _clean(inspector: Inspector, records: Sequence[bytes]) -> list[bytes]:
    """The records in which nothing is found."""
    left = []
    for record in records:
        found, _ = inspector.slabs(scan_rate.slabs([record]))
        if not found[0].found:
            left.append(record)
    return left


def measure(rounds: int = 12, most_bytes: int = 32 * 1024 * 1024) -> list[Row]:
    """The rates of every corpus, of records of 1 KB."""
    database, _ = app.load_database()
    unjudged = _Unjudged(app.scanner(database))
    everything = app.inspector(database, Confidence.low, policy=_policy(), audit=True)
    rows = []
    for corpus in corpora.KINDS:
        records = _clean(everything, corpora.cut(corpora.of_kind(corpus), _SIZE)[: most_bytes // _SIZE])
        parts = scan_rate.slabs(records)
        _, tally = everything.slabs(parts)
        ways: tuple[Callable[[Slab], object], ...] = (
            lambda part: everything.hits(part.data),
            lambda part: unjudged.slabs([part]),
            lambda part: everything.slabs([part]),
        )
        best = [[float("inf")] * len(parts) for _ in ways]
        for _ in range(rounds):
            for way, shortest in zip(ways, best, strict=True):
                for index, part in enumerate(parts):
                    shortest[index] = min(shortest[index], _seconds(way, part))
        megabytes = sum(map(len, records)) / 1e6
        rows.append(Row(corpus, len(records), tally.hit_records, *(megabytes / sum(shortest) for shortest in best)))
    return rows


def _seconds(way: Callable[[Slab], object], part: Slab) -> float:
    began = time.thread_time()
    way(part)
    return time.thread_time() - began
