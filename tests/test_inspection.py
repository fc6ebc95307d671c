"""The middle of the pipeline: what its policy does to the findings of an event."""

import json
import random
import string

import msgspec
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from service.consume.batches import Batch, Slab
from service.decode import layers
from service.detect import catalogue, database
from service.detect.catalogue import Source
from service.detect.scanner import Scanner
from service.inspection import Found, Inspector, Tally
from service.judge import evidence
from service.judge.policy import Policy
from service.judge.rules import Rules
from service.judge.suppression import Suppression
from service.records import Record, Severity
from service.settings import Rule

FILE = """
provider = "Acme"

[[secret]]
id = "acme-token"
name = "Acme token"
severity = "high"
expression = 'acme_[A-Za-z0-9]{36}'
examples = ["{secret}"]
"""


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    detectors = catalogue.load([Source("cloud", "cloud/acme.toml", FILE.encode())], evidence.names())
    return Scanner(database.build(detectors), layers.unwrap)


def token(seed: int) -> str:
    rng = random.Random(seed)
    return "acme_" + "".join(rng.choices(string.ascii_letters + string.digits, k=36))


def found(scanner: Scanner, content: str, *rules: dict[str, object], kind: str = "code") -> tuple[list[Found], Tally]:
    policy = Policy(Suppression(), Rules(msgspec.convert(rules, tuple[Rule, ...])), lambda secret: "ab" * 32)
    event = {"type": kind, "path": "src/a.py", ("content" if kind == "code" else "message"): content}
    tally = Tally()
    record = Record("t", 0, 0, -1, None, json.dumps(event).encode())
    return Inspector(scanner, policy=policy).record(record, tally), tally


def test_a_marker_lets_one_line_pass_and_the_same_secret_elsewhere_is_seen(scanner: Scanner) -> None:
    one, tally = found(scanner, f"a = {token(1)}  # sluice:allow\nb = {token(1)}\n")

    assert [item.location.line for item in one] == [2]
    assert tally.dropped["allowed_inline"] == 1


def test_a_marker_in_a_log_line_is_nobodys_decision(scanner: Scanner) -> None:
    assert len(found(scanner, f"a = {token(1)}  # sluice:allow", kind="log")[0]) == 1


def test_rules_mark_and_drop_and_what_they_drop_is_counted(scanner: Scanner) -> None:
    (item,), _ = found(scanner, token(1), {"path": "src/", "severity": "critical", "tag": "ours"})
    none, tally = found(scanner, token(1), {"detector": "acme-*", "drop": True})

    assert (item.finding.severity, item.finding.tags) == (Severity.critical, ("ours",))
    assert none == []
    assert tally.dropped["dropped_by_rule"] == 1


def storm(numbers: list[int]) -> Slab:
    """A slab of plain records, each with one token."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for offset, number in enumerate(numbers):
        builder.append(offset, 1, None, f"retrying with {token(number)}".encode(), [])
    data = bytes(builder.build())
    return Slab("t", 0, data, [Batch(61, len(data), 0, len(numbers), 0, 0, len(numbers))], 0)


def test_a_storm_keeps_one_finding_and_every_place(scanner: Scanner) -> None:
    ((inspected,), _) = Inspector(scanner).slabs([storm([1] * 50 + [2])])

    assert [item.location.offset for item in inspected.found] == list(range(51))
    assert len({id(item.finding) for item in inspected.found}) == 2
    assert inspected.found[-1].finding.candidate.secret.reveal().decode() == token(2)


def test_what_comes_after_many_findings_is_left_to_another_call(scanner: Scanner) -> None:
    slabs, inspector = [storm([1] * 30), storm([2] * 30), storm([3])], Inspector(scanner)

    first, _ = inspector.slabs(slabs, 20)
    rest, _ = inspector.slabs(slabs[len(first) :])

    assert [len(one.found) for one in first] == [30]
    assert [len(one.found) for one in rest] == [30, 1]
