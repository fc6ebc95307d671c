"""The endpoint, asked by a client over a socket."""

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from service.errors import SettingsError
from service.settings import Telemetry
from service.telemetry.metrics import Metrics
from service.telemetry.server import Server


class Worker:
    """What the endpoint is told of its process."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.live = {"polled": True}
        self.ready = {"joined": True, "sinks": True}
        self.server = Server(self.metrics.expose, lambda: self.live, lambda: self.ready, {"version": "1.2.3"})


@pytest_asyncio.fixture
async def worker() -> AsyncIterator[Worker]:
    found = Worker()
    await found.server.start(Telemetry(port=0))
    yield found
    await found.server.stop()


@pytest_asyncio.fixture
async def client(worker: Worker) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{worker.server.port}") as session:
        yield session


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
async def test_a_well_worker_is_well(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.status == 200
        assert (await answer.json())["status"] == "ok"


async def test_while_one_claim_fails_it_is_not_ready_but_alive(client: aiohttp.ClientSession, worker: Worker) -> None:
    worker.ready = {"joined": True, "sinks": False}

    async with client.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"status": "failing", "claims": {"joined": True, "sinks": False}}
    for path in ("/livez", "/healthz"):
        async with client.get(path) as answer:
            assert answer.status == 200

    worker.ready = {"joined": True, "sinks": True}
    async with client.get("/readyz") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
async def test_a_worker_that_hangs_is_not_alive(client: aiohttp.ClientSession, worker: Worker, path: str) -> None:
    worker.live = {"polled": False}

    async with client.get(path) as answer:
        assert answer.status == 503


async def test_metrics_are_served_as_they_are_now(client: aiohttp.ClientSession, worker: Worker) -> None:
    for expected in (5.0, 10.0):
        worker.metrics.count("sluice_detect_bytes_total", 5)

        async with client.get("/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            families = text_string_to_metric_families(await answer.text())

        samples = {sample.name: sample.value for family in families for sample in family.samples}
        assert samples["sluice_detect_bytes_total"] == expected


async def test_the_version_is_told(client: aiohttp.ClientSession) -> None:
    async with client.get("/version") as answer:
        assert (answer.status, await answer.json()) == (200, {"version": "1.2.3"})


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/metrics", "/version"])
async def test_nothing_is_kept_or_guessed_by_browsers(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/metrics", 405), ("GET", "/", 404), ("GET", "/debug", 404)])
async def test_there_is_nothing_else(client: aiohttp.ClientSession, method: str, path: str, status: int) -> None:
    async with client.request(method, path) as answer:
        assert answer.status == status


async def test_an_address_in_use_is_told_with_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Worker().server

        with pytest.raises(SettingsError, match=f"telemetry.*127.0.0.1:{port}"):
            await server.start(Telemetry(port=port))
        await server.stop()


async def test_a_stopped_endpoint_answers_no_more() -> None:
    worker = Worker()
    await worker.server.start(Telemetry(port=0))
    await worker.server.stop()

    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://127.0.0.1:{worker.server.port}/livez")
