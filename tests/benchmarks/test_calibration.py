"""The reliability of confidences, from labelled cases."""

import json
import random
import string
from pathlib import Path

import pytest

from benchmarks import calibration
from benchmarks.calibration import Case, Row
from service.decode import layers
from service.detect import catalogue, database
from service.detect.catalogue import Source
from service.detect.scanner import Scanner
from service.inspection import Inspector
from service.judge import evidence
from service.records import Confidence

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
def loaded() -> database.Database:
    return database.build(catalogue.load([Source("cloud", "cloud/acme.toml", FILE.encode())], evidence.names()))


@pytest.fixture
def inspector(loaded: database.Database) -> Inspector:
    return Inspector(Scanner(loaded, layers.unwrap))


def token(seed: int) -> bytes:
    return b"acme_" + "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=36)).encode()


def test_findings_are_right_or_wrong_by_the_labels(inspector: Inspector) -> None:
    cases = [
        Case(True, token(1), (token(1),)),
        Case(True, token(2)),
        Case(True, b"nothing here", (b"nothing",)),
        Case(False, token(3)),
        Case(False, b"clean"),
    ]

    result = calibration.measure(cases, inspector)

    assert [row for row in result.rows if row.evidence == "all"] == [Row(Confidence.high, "all", 2, 1)]
    assert (result.positives, result.found[Confidence.low]) == (3, 2)


def test_the_interval_holds_the_share_and_narrows_with_numbers() -> None:
    few, many = Row(Confidence.high, "all", 9, 1), Row(Confidence.high, "all", 900, 100)

    for row in (few, many):
        assert row.interval[0] < row.precision < row.interval[1]
    assert many.interval[1] - many.interval[0] < few.interval[1] - few.interval[0]


def test_generated_cases_have_both_labels_and_hold_what_they_say(
    loaded: database.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration.corpora, "source", lambda size: (b"import os\n",))

    cases = list(calibration.generated(loaded))

    assert {case.positive for case in cases} == {True, False}
    assert all(case.secrets[0] in case.text for case in cases if case.positive)


def test_labelled_cases_are_read_and_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps({"kind": "negative", "text": "a", "secrets": []}) + "\n{}\n")

    with pytest.raises(ValueError, match="line 2"):
        calibration.load(path)

    path.write_text(json.dumps({"kind": "positive", "text": "a b", "secrets": ["b"], "path": "x.py"}))
    assert calibration.load(path) == [Case(True, b"a b", (b"b",), "x.py", False)]


def test_the_plot_shows_every_confidence_with_its_share(inspector: Inspector) -> None:
    drawn = calibration.svg(calibration.measure([Case(True, token(1)), Case(False, token(2))], inspector))

    assert drawn.startswith("<svg")
    assert "50.0 % of 2" in drawn
