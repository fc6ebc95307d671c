"""Records made to hurt: no crash, no time or memory out of proportion, and dead letters with their reason.

Time is not measured: what is counted is the work that a run of the decoder or the searcher does for one record.
"""

import base64
import gzip
import json
import random
import tracemalloc
from collections.abc import Callable

import pytest

from service import app, proof
from service.decode import flat, layers
from service.decode.flat import Flat
from service.detect.scanner import Scanner
from service.inspection import Failure, Found
from service.records import Event, Origin, Record, Span, Text
from tests.fuzz.targets import inspector, slab_of

MB = 1_000_000


def inspected(value: bytes) -> tuple[list[Found], list[Failure]]:
    results, _ = inspector().slabs([slab_of(Record("t", 0, 7, 0, None, value))])
    return results[0].found, results[0].failures


def prefixes(size: int) -> bytes:
    """Nothing but the prefixes of all detectors."""
    loaded, _ = app.load_database()
    known = [prefix for detector in loaded.detectors for prefix in detector.prefixes]
    rng = random.Random(1)
    return b"".join(rng.choice(known) for _ in range(size // 4))[:size]


@pytest.fixture
def secret() -> bytes:
    loaded, _ = app.load_database()
    detector = next(d for d in loaded.detectors if d.id == "github-personal-access-token")
    return proof.secret_of(detector, random.Random(3))


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many bytes are searched for candidates, decoded layers included."""
    done = {"bytes": 0}
    search = Scanner._search

    def counting(self: Scanner, text: bytes, hits: object, depth: int) -> object:
        done["bytes"] += len(text)
        return search(self, text, hits, depth)  # type: ignore[arg-type]

    monkeypatch.setattr(Scanner, "_search", counting)
    return done


@pytest.mark.parametrize(
    "make",
    [
        prefixes,
        lambda size: base64.b64encode(prefixes(size * 3 // 4)),
        lambda size: prefixes(size // 2).hex().encode(),
        lambda size: prefixes(size // 2).decode("latin-1").encode("utf-16-le"),
        lambda size: b"\\u0041" * (size // 6),
        lambda size: b"%41" * (size // 3),
        lambda size: b"\\" * size,
        lambda size: b"".join(b"%%%02x" % byte for byte in prefixes(size // 3)),
        lambda size: b'{"a":' * (size // 5),
        lambda size: b"eyJ" * (size // 3),
        lambda size: b"-----BEGIN RSA PRIVATE KEY-----\n" * (size // 32),
        lambda size: b"\0" * size,
        lambda size: b"\xff" * size,
    ],
    ids="prefixes base64 hex utf16 escapes percent backslashes percents nesting jwt pem nul invalid".split(),
)
def test_what_is_searched_grows_no_faster_than_the_record(make: Callable[[int], bytes], work: dict[str, int]) -> None:
    """Twice the bytes may be twice the work and some; it would be four times where every hit looked at all the rest."""
    spent = []
    for size in (10_000, 20_000, 40_000):
        work["bytes"] = 0
        _, failures = inspected(make(size))
        assert {failure.reason for failure in failures} <= {"too_many_findings"}
        spent.append(work["bytes"])

    assert spent[2] <= 6 * 40_000 + 3 * layers.REACH_BYTES + 3 * spent[1]


def test_a_secret_is_found_behind_anything(secret: bytes) -> None:
    for before in (b"\0" * MB, b"\xff" * MB, b"[" * MB, b'"' * MB, b"\n" * MB, b"{" * MB, b"\\u0041 " * 20_000):
        found, failures = inspected(before + b" " + secret)
        assert not failures
        assert any(item.finding.candidate.secret.reveal() == secret for item in found), before[:1]


def test_a_large_record_takes_memory_in_proportion(secret: bytes) -> None:
    value = b"x" * (100 * MB) + b" " + secret
    slab = slab_of(Record("t", 0, 7, 0, None, value))
    tracemalloc.start()
    try:
        results, _ = inspector().slabs([slab])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [item.finding.candidate.secret.reveal() for item in results[0].found] == [secret]
    assert peak < 4 * len(value)


def test_a_bomb_in_a_bomb_is_a_dead_letter_with_its_reason() -> None:
    bomb = gzip.compress(b"\0" * (80 * MB))

    assert [failure.reason for failure in inspected(bomb)[1]] == ["decompression_limit"]


def test_lines_are_counted_once_however_many_findings_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"@@ -1 +1 @@\n" + b"+line\n" * 20_000
    event = Flat(Event(Origin(), [Text(data, "patch", kind="patch")]))
    seen = 0

    class Counting:
        def finditer(self, text: bytes, start: int, stop: int) -> object:
            nonlocal seen
            seen += stop - start
            return pattern.finditer(text, start, stop)

    pattern = flat._HUNK
    monkeypatch.setattr(flat, "_HUNK", Counting())
    starts = [12 + 6 * number for number in range(0, 20_000, 7)]
    lines = [event.place(Span(event.data.index(b"@@") + at, event.data.index(b"@@") + at + 1)) for at in starts]

    assert [place.line for place in lines if place] == [1 + 7 * number for number in range(len(starts))]
    assert seen <= len(data)


def test_what_an_event_tells_of_itself_is_masked_once_for_all_its_findings(
    secret: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service import inspection

    calls = 0
    masked = inspection._Hiding._masked

    def counting(text: str | None, masks: dict[str, str]) -> str | None:
        nonlocal calls
        calls += 1
        return masked(text, masks)

    monkeypatch.setattr(inspection._Hiding, "_masked", staticmethod(counting))
    loaded, _ = app.load_database()
    detector = next(d for d in loaded.detectors if d.id == "github-personal-access-token")
    rng = random.Random(5)
    content = "\n".join(proof.secret_of(detector, rng).decode() for _ in range(200))
    found, _ = inspected(json.dumps({"type": "code", "path": "a/b.py", "content": content}).encode())

    assert len(found) == 200
    assert calls <= 20
