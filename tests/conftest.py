"""Brokers for the tests: the embedded one, and Apache Kafka where Java and Maven are at hand."""

import os
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from benchmarks.brokers import ApacheKafka, Broker, EmbeddedBroker, MissingError


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--seed", type=int, default=1, help="of all that the fault suite draws (default 1)")
    group.addoption("--long", action="store_true", help="the tests marked as long, too")
    group.addoption("--rounds", type=int, default=3, help="how often the fault suite kills workers (default 3)")


def missing(what: str) -> NoReturn:
    """Something that a test needs is not there: it is skipped, except in CI, where that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = [] if config.getoption("--long") else [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


def started(command: Sequence[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """A process whose output goes to a file."""
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, **options)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests' databases are cached apart from the user's, and shared between them."""
    os.environ.setdefault("SLUICE_CACHE", str(Path(__file__).parent.parent / ".cache" / "databases"))


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    try:
        broker = ApacheKafka(tmp_path_factory.mktemp("kafka"))
    except MissingError as error:
        missing(str(error))
    with broker:
        yield broker


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[Broker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(params=["embedded", "apache"])
def broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue("embedded_broker" if request.param == "embedded" else "apache_kafka")
    return found


@pytest.fixture
def unique() -> str:
    """A word that no other test uses, for topics and groups."""
    return uuid.uuid4().hex[:12]
