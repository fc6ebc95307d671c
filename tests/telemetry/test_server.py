"""The endpoint, asked by a client over a socket."""

import asyncio
import base64
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from service.errors import SettingsError
from service.settings import Telemetry
from service.telemetry.metrics import Metrics
from service.telemetry.server import Server
from tests.certificates import Authority


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


TOKEN = secrets.token_hex(16)


@asynccontextmanager
async def serving(telemetry: Telemetry, routes: Iterable[web.AbstractRouteDef] = ()) -> AsyncIterator[Server]:
    server = Server(Metrics().expose, lambda: {"polled": True}, lambda: {"joined": False}, {"version": "1"}, routes)
    await server.start(telemetry)
    try:
        yield server
    finally:
        await server.stop()


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(TOKEN)])
async def test_whoever_has_the_token_is_let_in(authorization: str) -> None:
    async with serving(Telemetry(port=0, token=TOKEN)) as server, aiohttp.ClientSession() as session:
        for path in ("/metrics", "/version"):
            url = f"http://127.0.0.1:{server.port}{path}"
            async with session.get(url, headers={"Authorization": authorization}) as answer:
                assert answer.status == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", TOKEN, basic(""), "Basic !", "Bearer \udcff"],
)
async def test_whoever_has_not_learns_nothing_but_the_bare_state(authorization: str) -> None:
    async with serving(Telemetry(port=0, token=TOKEN)) as server, aiohttp.ClientSession() as session:
        for path in ("/metrics", "/version", "/playbooks/", "/nothing"):
            url = f"http://127.0.0.1:{server.port}{path}"
            async with session.get(url, headers={"Authorization": authorization}) as answer:
                assert answer.status == 401
                assert [one.split()[0] for one in answer.headers.getall("WWW-Authenticate")] == ["Bearer", "Basic"]
                assert TOKEN not in await answer.text()
        async with session.get(f"http://127.0.0.1:{server.port}/readyz") as answer:
            assert (answer.status, await answer.json()) == (503, {"status": "failing"})


async def test_a_new_token_counts_at_once() -> None:
    async with serving(Telemetry(port=0, token=TOKEN)) as server, aiohttp.ClientSession() as session:
        server.take(Telemetry(port=0, token="another" + TOKEN))
        for token, status in ((TOKEN, 401), ("another" + TOKEN, 200)):
            url = f"http://127.0.0.1:{server.port}/version"
            async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == status


@pytest.mark.parametrize(("host", "status"), [("localhost:1", 200), ("[::1]:1", 200), ("evil.example", 421), ("10.0.0.1", 421)])
async def test_on_loopback_one_asks_by_a_name_of_this_machine(client: aiohttp.ClientSession, host: str, status: int) -> None:
    """A page that has had its own name resolved to 127.0.0.1 learns nothing."""
    async with client.get("/metrics", headers={"Host": host}) as answer:
        assert answer.status == status


@pytest.mark.parametrize(("method", "path"), [("GET", "/livez"), ("GET", "/nothing"), ("POST", "/metrics")])
async def test_every_answer_bears_the_headers_that_browsers_heed(client: aiohttp.ClientSession, method: str, path: str) -> None:
    async with client.request(method, path) as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Server" not in answer.headers


async def test_pages_of_others_are_behind_the_same_door_and_keep_their_own_headers() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="page", headers={"Content-Security-Policy": "default-src 'self'"})

    async with serving(Telemetry(port=0, token=TOKEN), [web.get("/page", page)]) as server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}/page"
        async with session.get(url) as answer:
            assert answer.status == 401
        async with session.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert await answer.text() == "page"
            assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
            assert answer.headers["X-Frame-Options"] == "DENY"


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path, "authority")

    async def test_it_speaks_tls_alone(self, authority: Authority) -> None:
        crt, key = authority.issue("server")
        context = ssl.create_default_context(cafile=authority.file)
        telemetry = Telemetry(port=0, tls_certfile=str(crt), tls_keyfile=str(key))
        async with serving(telemetry) as server, aiohttp.ClientSession() as session:
            async with session.get(f"https://127.0.0.1:{server.port}/livez", ssl=context) as answer:
                assert answer.status == 200
                assert "max-age" in answer.headers["Strict-Transport-Security"]
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://127.0.0.1:{server.port}/livez")

    async def test_who_has_no_certificate_of_the_authority_is_not_let_in(self, authority: Authority, tmp_path: Path) -> None:
        crt, key = authority.issue("server")
        stranger = Authority(tmp_path, "stranger")
        telemetry = Telemetry(port=0, tls_certfile=str(crt), tls_keyfile=str(key), tls_client_cafile=str(authority.file))
        async with serving(telemetry) as server, aiohttp.ClientSession() as session:
            url = f"https://127.0.0.1:{server.port}/metrics"
            for pair, good in ((authority.issue("client"), True), (stranger.issue("intruder"), False), (None, False)):
                context = ssl.create_default_context(cafile=authority.file)
                if pair:
                    context.load_cert_chain(*pair)
                if good:
                    async with session.get(url, ssl=context) as answer:
                        assert answer.status == 200
                else:
                    with pytest.raises(aiohttp.ClientError):
                        await session.get(url, ssl=context)

    async def test_a_renewed_certificate_is_taken_in(self, authority: Authority) -> None:
        crt, key = authority.issue("server")
        telemetry = Telemetry(port=0, tls_certfile=str(crt), tls_keyfile=str(key))
        async with serving(telemetry) as server:

            def serial() -> int:
                with socket.create_connection(("127.0.0.1", server.port)) as plain:
                    context = ssl.create_default_context(cafile=authority.file)
                    with context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped:
                        return int(str((wrapped.getpeercert() or {})["serialNumber"]), 16)

            former = await asyncio.to_thread(serial)
            authority.issue("server")
            server.take(telemetry)
            assert await asyncio.to_thread(serial) != former

    @pytest.mark.parametrize("key", ["tls_certfile", "tls_client_cafile"])
    async def test_a_file_that_cannot_be_used_is_told_with_its_key(
        self, authority: Authority, key: str, tmp_path: Path
    ) -> None:
        (tmp_path / "nonsense").write_text("nonsense")
        crt, private = authority.issue("server")
        keys = {"tls_certfile": str(crt), "tls_keyfile": str(private), key: str(tmp_path / "nonsense")}

        with pytest.raises(SettingsError, match=rf"telemetry\.{key}: .*nonsense"):
            await Worker().server.start(Telemetry(port=0, **keys))


class TestSocket:
    async def test_only_its_owner_may_open_it_and_needs_no_token(self, tmp_path: Path) -> None:
        path = tmp_path / "sluice.sock"
        path.write_text("left by a process that was killed")
        async with serving(Telemetry(socket=str(path), token=TOKEN)):
            assert path.stat().st_mode & 0o777 == 0o600
            connector = aiohttp.UnixConnector(str(path))
            async with aiohttp.ClientSession(connector=connector) as session, session.get("http://anything/metrics") as answer:
                assert answer.status == 200

        assert not path.exists()

    async def test_a_place_that_cannot_be_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"telemetry\.socket: .*nowhere"):
            await Worker().server.start(Telemetry(socket=str(tmp_path / "nowhere" / "sluice.sock")))


class TestBounds:
    async def test_a_connection_that_asks_nothing_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("service.telemetry.server.IDLE_SECONDS", 0.1)
        async with serving(Telemetry(port=0)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: loc")
            with suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()

    async def test_connections_too_many_are_turned_away_until_others_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("service.telemetry.server.MOST_CONNECTIONS", 3)
        async with serving(Telemetry(port=0)) as server:
            kept = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
            await asyncio.sleep(0.05)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            with suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
            for _, other in kept:
                other.close()
            await asyncio.sleep(0.05)
            url = f"http://127.0.0.1:{server.port}/livez"
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                assert answer.status == 200

    async def test_a_request_too_large_is_refused(self, client: aiohttp.ClientSession) -> None:
        async with client.get("/livez", headers={"X-Long": "x" * 20_000}) as answer:
            assert answer.status == 400
