"""A single node and a cluster to break, and the streams over them."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.brokers import FOR_TESTS, ApacheKafka, Cluster, MissingError
from service.sources.embedded_broker import free_port
from tests.integration.faults import admin
from tests.integration.faults.stream import Stream

QUICK = {"group.min.session.timeout.ms": "1000", "auto.create.topics.enable": "false"}
WITH_RIGHTS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}

OpenStream = Callable[..., Awaitable[Stream]]


def _or_say_why(error: MissingError) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(str(error))
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    number: int = request.config.getoption("--seed")
    return number


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> int:
    number: int = request.config.getoption("--rounds")
    return number


class Single(ApacheKafka):
    """A node with rights to be given and taken, and with a second listener that is reached through a port of ours."""

    def __init__(self, folder: Path) -> None:
        self.proxied_port = free_port()
        super().__init__(folder, {**QUICK, **WITH_RIGHTS}, self.proxied_port, FOR_TESTS)


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Single]:
    try:
        broker = Single(tmp_path_factory.mktemp("single"))
    except MissingError as error:
        _or_say_why(error)
    with broker:
        yield broker


@pytest.fixture(scope="module")
def _three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        three = Cluster(tmp_path_factory.mktemp("cluster"), QUICK)
    except MissingError as error:
        _or_say_why(error)
    with three:
        yield three


@pytest.fixture
def cluster(_three: Cluster) -> Cluster:
    """Of three nodes, all of them up: one that a failed test left dead is no matter of the next."""
    for node in _three.nodes.values():
        if not node.alive:
            node.start()
    return _three


@pytest.fixture(params=["at_least_once", "exactly_once"])
def delivery(request: pytest.FixtureRequest) -> str:
    mode: str = request.param
    return mode


@pytest.fixture
async def open_stream(seed: int, unique: str, tmp_path: Path) -> AsyncIterator[OpenStream]:
    """Makes the topics and the stream over them; ends everything afterwards."""
    opened: list[Stream] = []

    async def opening(address: str, replicas: int = 1, topics: bool = True, **options: Any) -> Stream:
        stream = Stream(address, seed, tmp_path, unique, **options)
        opened.append(stream)
        if topics:
            for name in (stream.events, stream.alerts, stream.letters):
                await admin.create_topic(address, name, replicas=replicas)
        return stream

    yield opening
    for stream in opened:
        await stream.close()
