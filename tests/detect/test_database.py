"""The database's cache: used when it is good, rebuilt when anything is wrong with it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from service.detect import database
from service.detect.database import Database
from service.errors import DatabaseError
from service.records import Detector, Severity


class Counting:
    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.detectors = detectors
        self.calls = 0

    def __call__(self) -> Sequence[Detector]:
        self.calls += 1
        return self.detectors


@pytest.fixture
def source(acme: Database) -> Counting:
    return Counting(acme.detectors)


def test_the_second_load_comes_from_the_cache_and_is_the_same(tmp_path: Path, source: Counting) -> None:
    first = database.load("digest", source, tmp_path)
    second = database.load("digest", source, tmp_path)

    assert source.calls == 1
    assert [d.id for d in second.detectors] == [d.id for d in first.detectors]
    assert second.patterns == first.patterns


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 4096])
def test_a_damaged_cache_is_rebuilt(tmp_path: Path, source: Counting, damage: bytes) -> None:
    database.load("digest", source, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)

    loaded = database.load("digest", source, tmp_path)

    assert source.calls == 2
    assert len(loaded.detectors) == len(source.detectors)
    assert len(path.read_bytes()) > 4096


def test_other_content_has_another_place(tmp_path: Path, source: Counting) -> None:
    database.load("one", source, tmp_path)
    database.load("two", source, tmp_path)

    assert source.calls == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, source: Counting) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert database.load("digest", source, tmp_path / "file" / "below").detectors


def test_an_expression_that_the_engine_refuses_is_named(acme: Database) -> None:
    huge = Detector(
        id="acme-huge",
        name="huge",
        provider="Acme",
        category="cloud",
        severity=Severity.low,
        expression="(?:[a-f]{9}x?){400}abc",
        boundary="none",
    )

    with pytest.raises(DatabaseError, match="acme-huge"):
        database.build([*acme.detectors, huge])
