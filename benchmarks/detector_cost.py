"""What single detectors cost the database: the scan time that is saved without them.

A literal alone costs nothing that could be measured; what an expression costs is what it adds to all the others. So groups of
detectors are left out in turn, and where that saves time, each of the group by itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import hyperscan

from benchmarks import corpora
from service import app
from service.detect.database import Pattern, compile_patterns

_BYTES = 6 * 1024 * 1024
_GROUP = 60
_ROUNDS = 7
_NOISE = 0.015


class Row(NamedTuple):
    """Shares of the scan time, 0 to 1, on either corpus."""

    detector: str
    source: float
    logs: float

    @property
    def worst(self) -> float:
        """The larger share."""
        return max(self.source, self.logs)


def _pieces(corpus: str) -> list[bytes]:
    return corpora.cut((b"".join(corpora.of_kind(corpus))[:_BYTES],), 1024 * 1024)


def _once(database: hyperscan.Database, pieces: Sequence[bytes]) -> float:
    scratch = hyperscan.Scratch(database)
    began = time.thread_time()
    for piece in pieces:
        database.scan(piece, match_event_handler=lambda *match: None, scratch=scratch)
    return time.thread_time() - began


def _saved(whole: hyperscan.Database, without: hyperscan.Database, pieces: Sequence[bytes]) -> float:
    """The share of the time that is saved; the two take turns, so that noise falls on both."""
    long = short = float("inf")
    for _ in range(_ROUNDS):
        long = min(long, _once(whole, pieces))
        short = min(short, _once(without, pieces))
    return 1 - short / long


def measure(least: float = 0.02, groups: int | None = None) -> list[Row]:
    """The detectors that cost at least this share of the scan time on either corpus, the dearest first.

    Args:
        least: the share from which on a detector is named.
        groups: how many groups are looked at; all if None.
    """
    loaded, _ = app.load_database()
    source, logs = _pieces("source"), _pieces("logs")
    owners = sorted({pattern.detector for pattern in loaded.patterns if pattern.detector >= 0})

    def without(left_out: set[int]) -> hyperscan.Database:
        kept: list[Pattern] = [pattern for pattern in loaded.patterns if pattern.detector not in left_out]
        return compile_patterns([pattern.expression for pattern in kept])

    def cost(left_out: set[int], name: str) -> Row:
        other = without(left_out)
        return Row(name, _saved(loaded.compiled, other, source), _saved(loaded.compiled, other, logs))

    rows = []
    chunks = [owners[at : at + _GROUP] for at in range(0, len(owners), _GROUP)]
    for chunk in chunks[:groups]:
        if cost(set(chunk), "").worst < _NOISE:
            continue
        halves = [chunk[at : at + 8] for at in range(0, len(chunk), 8)]
        for half in halves:
            if cost(set(half), "").worst >= _NOISE:
                rows += [cost({index}, loaded.detectors[index].id) for index in half]
    return sorted((row for row in rows if row.worst >= least), key=lambda row: -row.worst)
