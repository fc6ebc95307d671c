"""The processes of one machine: starts N workers, tends them, and shows them to the outside as one.

A worker is ``sluice run`` with an endpoint on a Unix socket and its log on a pipe. The supervisor passes the lines on, adds
up the metrics, and starts again what ended, after growing pauses. Each worker is a static member of the group: one that was
killed has its partitions back when it is there again, and nobody else is disturbed. SIGHUP reads the settings again, SIGUSR2
replaces the workers one by one: the new process stands by, loaded and connected, until the old one has drained, and then
takes its place in the group. SIGTERM drains all of them; the second one ends them at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from service import __version__
from service.errors import ExitCode, SluiceError
from service.settings import Settings, changed, stamp
from service.telemetry import logs
from service.telemetry.merged import Merged
from service.telemetry.metrics import Metrics
from service.telemetry.server import Server

_log = logs.get("supervisor")
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
STABLE_SECONDS: Final = 60.0
"""A worker that ran so long starts again after the first pause."""
LOOP_AFTER: Final = 4
"""Ends in a row, each before :data:`STABLE_SECONDS`, that are called a crash loop."""
STANDBY_SECONDS: Final = 120.0
"""How long a replacement may take to load."""
READY_SECONDS: Final = 120.0
HANG_SECONDS: Final = 60.0
"""A worker that has not answered for so long is ended: SIGABRT first, which has it tell where it hangs."""
_POLL_SECONDS: Final = 1.0
_METRICS_EVERY: Final = 5
"""Polls; what a killed worker counted after the last one is lost, records are not."""
_ANSWER_SECONDS: Final = 5.0
_PASSED_HEADERS: Final = ("Cache-Control", "Content-Security-Policy", "Location")
_MOST_LINE: Final = 1 << 20
_PR_SET_PDEATHSIG: Final = 1
LEAVE: Final = signal.SIGTERM
"""Has a worker drain, leave the group and end."""
STAY: Final = getattr(signal, "SIGUSR2", signal.SIGTERM)
"""Has a worker drain and end without leaving: its place in the group is taken by the next."""


def end_with_parent() -> None:
    """Has the kernel end this process when the supervisor is killed: nobody would tend it (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, LEAVE)
        if os.getppid() == 1:
            sys.exit(ExitCode.ok)


class _Process:
    """One process of a worker."""

    def __init__(
        self, worker: int, process: asyncio.subprocess.Process, endpoint: Path, told: Callable[[int, bytes], None]
    ) -> None:
        self.worker = worker
        self.started = time.monotonic()
        self.answered = time.monotonic()
        self.claims: dict[str, bool] = {"running": False}
        self.exposition = b""
        self.hung = False
        self._process = process
        self._endpoint = endpoint
        self._last_words = endpoint.with_suffix(".metrics")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(endpoint)), timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        )
        self._lines = asyncio.get_running_loop().create_task(self._pass_on(told), name=f"log of worker {worker}")

    @property
    def status(self) -> int | None:
        """The exit status; negative for a signal, None while it runs."""
        return self._process.returncode

    @property
    def ready(self) -> bool:
        """True while all of its claims hold."""
        return self.status is None and bool(self.claims) and all(self.claims.values())

    @property
    def standing_by(self) -> bool:
        """True while it has everything, and waits to be called."""
        return self.claims.get("called") is False

    async def _pass_on(self, told: Callable[[int, bytes], None]) -> None:
        assert self._process.stderr is not None
        rest = b""
        while data := await self._process.stderr.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                told(self.worker, line)
            if len(rest) > _MOST_LINE:
                told(self.worker, rest)
                rest = b""
        if rest:
            told(self.worker, rest)

    async def ask(self, metrics: bool) -> None:
        """Looks how it does; its metrics too, if asked for."""
        if self.status is not None:
            self.claims = {"running": False}
            return
        try:
            async with self._session.get("http://localhost/readyz") as answer:
                self.claims = (await answer.json())["claims"]
            self.answered = time.monotonic()
            if metrics:
                async with self._session.get("http://localhost/metrics") as answer:
                    self.exposition = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, RuntimeError):  # the last: it has just ended
            if self.status is not None or time.monotonic() - self.answered > 3 * _ANSWER_SECONDS:
                self.claims = {"running": False}

    async def fetch(self, path: str) -> tuple[int, str, bytes, dict[str, str]] | None:
        """What it answers to a path: status, kind, body, the headers that are its own; None if it does not."""
        try:
            async with self._session.get(f"http://localhost{path}", allow_redirects=False) as answer:
                kept = {
                    name: answer.headers[name] for name in ("Content-Security-Policy", "Location") if name in answer.headers
                }
                return answer.status, answer.headers.get("Content-Type", ""), await answer.read(), kept
        except (aiohttp.ClientError, OSError, TimeoutError, RuntimeError):
            return None

    def signal(self, number: int) -> None:
        """Sends a signal, if it runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def call(self) -> None:
        """Has it go on, if it stands by."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(b"\n")

    async def end(self, number: int, seconds: float) -> None:
        """Asks it to end, and makes it."""
        self.signal(number)
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            _log.error("worker does not end, killing it", worker=self.worker, waited_seconds=seconds)
            self.signal(signal.SIGKILL)

    async def over(self) -> bytes:
        """Waits for the end and gives the last metrics that it told."""
        await self._process.wait()
        with contextlib.suppress(TimeoutError):  # somebody else may hold the pipe open
            await asyncio.wait_for(self._lines, 2.0)
        await self._session.close()
        self.claims = {"running": False}
        with contextlib.suppress(OSError):
            self.exposition = self._last_words.read_bytes()
        for path in (self._last_words, self._endpoint):
            path.unlink(missing_ok=True)
        return self.exposition


class Supervisor:
    """Runs workers until it is told to end.

    Args:
        config: the settings file, which each worker reads for itself.
        settings: what was read from it.
        workers: how many.
        reread: reads the settings again.
    """

    def __init__(self, config: Path | None, settings: Settings, workers: int, reread: Callable[[], Settings]) -> None:
        self._settings = settings
        self._reread = reread
        self._files = [config] if config else []
        self._taken = stamp(self._files)
        self._command = [sys.executable, "-m", "service", "run", *(["--config", str(config)] if config else [])]
        # our own name in the group; one that was configured outlives us, so that a restart of all moves nothing
        self._instance = settings.kafka.group_instance_id or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._last_signal = STAY if settings.kafka.group_instance_id else LEAVE
        self._folder = Path(tempfile.mkdtemp(prefix="sluice-"))  # ours alone (0700): the workers' sockets
        self._serial = 0
        self._team: dict[int, _Process] = {}
        self._numbers = range(workers)
        self._unretired: list[_Process] = []
        """All whose counts are not among those of ended processes yet."""
        self._stopping = asyncio.Event()
        self._now = asyncio.Event()
        self._turned = time.monotonic()
        self._rolling: asyncio.Task[None] | None = None
        self._merged = Merged()
        self._console = settings.telemetry.log_style == "console" or (
            settings.telemetry.log_style == "auto" and sys.stderr.isatty()
        )
        self.metrics = Metrics()
        self.metrics.inform("sluice_build_info", version=__version__)
        self.server = Server(
            self._expose, self._live, self.ready, {"version": __version__, "workers": str(workers)}, self._routes()
        )

    # -- the life of a worker ------------------------------------------------------------------------------------------

    def _environment(self, number: int, endpoint: Path) -> dict[str, str]:
        kafka = self._settings.kafka
        return {
            **os.environ,
            "SLUICE_TELEMETRY__SOCKET": str(endpoint),
            "SLUICE_TELEMETRY__LOG_STYLE": "console" if self._console else "json",
            "SLUICE_KAFKA__CLIENT_ID": f"{kafka.client_id}-{number}",
            "SLUICE_KAFKA__GROUP_INSTANCE_ID": f"{self._instance}-{number}",
        }

    async def _spawn(self, number: int, cause: str) -> _Process:
        self._serial += 1
        endpoint = self._folder / f"{number}-{self._serial}.sock"
        process = await asyncio.create_subprocess_exec(
            *self._command,
            "--worker",
            str(number),
            *(["--standby"] if cause == "replacement" else []),
            env=self._environment(number, endpoint),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.metrics.count("sluice_telemetry_worker_starts_total", worker=str(number), cause=cause)
        _log.info("worker starting", worker=number, pid=process.pid, cause=cause)
        found = _Process(number, process, endpoint, self._told)
        self._unretired.append(found)
        return found

    async def _tend(self, number: int) -> None:
        """Keeps one worker running."""
        pause, falls, cause = FIRST_PAUSE_SECONDS, 0, "start"
        while not self._stopping.is_set():
            process = self._team.get(number)
            if process is None or process.status is not None:
                process = self._team[number] = await self._spawn(number, cause)
                if self._stopping.is_set():
                    process.signal(self._last_signal)
            last = await process.over()
            self._unretired.remove(process)
            self._merged.retire(last)
            if self._stopping.is_set():
                return
            if self._team[number] is not process:  # another one took its place
                continue
            ran = time.monotonic() - process.started
            cause = "hang" if process.hung else "crash"
            if ran > STABLE_SECONDS:
                pause, falls = FIRST_PAUSE_SECONDS, 0
            falls += 1
            about: dict[str, Any] = {"worker": number, "status": _status(process.status), "ran_seconds": round(ran, 1)}
            if falls >= LOOP_AFTER:
                _log.error("worker ends again and again: see its lines above", times=falls, pause_seconds=pause, **about)
            else:
                _log.warning("worker ended, starting it again", pause_seconds=pause, **about)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _watch(self) -> None:
        """Looks how the workers do, and ends those that hang."""
        turn, before = 0, self._taken
        while True:
            # a file that was just changed may still be being written: it counts once it stays as it is
            if (now := stamp(self._files)) == before and now != self._taken:
                self._reload()
            before = now
            self._turned = time.monotonic()
            turn += 1
            await asyncio.gather(*(process.ask(turn % _METRICS_EVERY == 0) for process in self._team.values()))
            for number, process in self._team.items():
                self.metrics.set("sluice_telemetry_worker_ready", float(process.ready), worker=str(number))
                if (
                    process.status is None
                    and not process.hung
                    and time.monotonic() - max(process.answered, process.started) > HANG_SECONDS
                ):
                    _log.error("worker hangs, ending it", worker=number, silent_seconds=HANG_SECONDS)
                    process.hung = True
                    await process.end(signal.SIGABRT, 5.0)
            await asyncio.sleep(_POLL_SECONDS)

    async def _roll(self) -> None:
        """Replaces the workers one by one. Where a new one does not come up, the old one and all after it stay."""
        _log.info("replacing the workers one by one", workers=len(self._numbers))
        drain = self._settings.consume.drain_timeout_ms / 1000 + 10
        for number in self._numbers:
            fresh = await self._spawn(number, "replacement")
            if not await self._until(lambda fresh=fresh: fresh.standing_by, fresh, STANDBY_SECONDS):  # type: ignore[misc]
                _log.error("the new worker does not come up; the old ones stay", worker=number)
                await fresh.end(signal.SIGKILL, 5.0)
                await fresh.over()
                self._unretired.remove(fresh)
                return
            old, self._team[number] = self._team[number], fresh
            await old.end(STAY, drain)
            fresh.call()
            if not await self._until(lambda fresh=fresh: fresh.ready, fresh, READY_SECONDS):  # type: ignore[misc]
                _log.error("the new worker does not become ready; the others stay as they are", worker=number)
                return
            _log.info("worker replaced", worker=number)
        _log.info("all workers replaced", workers=len(self._numbers))

    async def _until(self, holds: Callable[[], bool], process: _Process, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.status is None and not self._stopping.is_set():
            await process.ask(False)
            if holds():
                return True
            await asyncio.sleep(0.05)
        return False

    # -- what is seen from outside -------------------------------------------------------------------------------------

    def _live(self) -> dict[str, bool]:
        return {"tending": time.monotonic() - self._turned < _ANSWER_SECONDS + 10.0}

    def ready(self) -> dict[str, bool]:
        """The claims of all workers, and that none is missing."""
        claims = {"not_draining": not self._stopping.is_set()}
        for number in self._numbers:
            process = self._team.get(number)
            found = process.claims if process is not None else {"running": False}
            claims |= {f"worker {number} {claim}": holds for claim, holds in found.items()}
        return claims

    async def _expose(self) -> bytes:
        await asyncio.gather(*(process.ask(True) for process in self._team.values() if process.status is None))
        # of two processes of one worker, the one that has the place tells its gauges
        ordered = sorted(self._unretired, key=lambda process: self._team.get(process.worker) is process)
        parts = [(str(process.worker), process.exposition) for process in ordered]
        return self._merged.expose([*parts, ("supervisor", await self.metrics.expose())])

    def _routes(self) -> list[aiohttp.web.RouteDef]:
        async def of_a_worker(request: aiohttp.web.Request) -> aiohttp.web.Response:
            """Pages are every worker's alike: one that is ready shows them."""
            for process in self._team.values():
                if process.ready and (answer := await process.fetch(str(request.rel_url))):
                    status, kind, body, headers = answer
                    return aiohttp.web.Response(status=status, body=body, headers={**headers, "Content-Type": kind})
            return aiohttp.web.json_response({"error": "no worker is ready"}, status=503)

        return [aiohttp.web.get("/{path:.*}", of_a_worker)]

    def _told(self, worker: int, line: bytes) -> None:
        """One line of a worker's log, passed on whole."""
        if self._console or (line.startswith(b"{") and line.endswith(b"}")):
            sys.stderr.buffer.write(line + b"\n")
            sys.stderr.buffer.flush()
        elif line.strip():
            _log.error("worker says", worker=worker, line=line.decode("utf-8", "replace"))

    # -- signals -------------------------------------------------------------------------------------------------------

    def _reload(self) -> None:
        self._taken = stamp(self._files)
        try:
            fresh = self._reread()
            self.server.take(fresh.telemetry)
        except SluiceError as error:
            self.metrics.count("sluice_telemetry_settings_reloads_total", outcome="refused")
            _log.error("settings not taken in, the former ones stay", error=str(error))
            return
        self.metrics.count("sluice_telemetry_settings_reloads_total", outcome="taken")
        _, later = changed(self._settings, fresh)
        if later:
            _log.warning("these settings need new workers: send SIGUSR2", keys=later)
        if fresh.telemetry.log_level != self._settings.telemetry.log_level:
            logs.configure(fresh.telemetry.log_level, "console" if self._console else "json")
        self._settings = fresh
        for process in self._team.values():
            process.signal(signal.SIGHUP)

    def _on_stop(self) -> None:
        if self._stopping.is_set():
            self._now.set()
        else:
            _log.info("draining", workers=len(self._team))
            self._stopping.set()

    def _on_roll(self) -> None:
        if self._rolling is not None and not self._rolling.done():
            _log.warning("the workers are being replaced already")
        elif not self._stopping.is_set():
            self._rolling = asyncio.get_running_loop().create_task(self._roll(), name="roll")

    async def run(self) -> None:
        """From the first start to the last end.

        Raises:
            SettingsError: the endpoint cannot be opened.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._on_stop)
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self._reload)
            loop.add_signal_handler(signal.SIGUSR2, self._on_roll)
        try:
            await self.server.start(self._settings.telemetry)
            tending = [loop.create_task(self._tend(number), name=f"worker {number}") for number in self._numbers]
            watching = loop.create_task(self._watch(), name="watch")
            await _first(self._stopping.wait(), watching, *tending)
            if self._rolling is not None:
                await _first(self._now.wait(), self._rolling)
            patience = self._settings.consume.drain_timeout_ms / 1000 + 10
            ending = asyncio.gather(*(process.end(self._last_signal, patience) for process in self._team.values()))
            await _first(self._now.wait(), ending)
            for process in self._team.values():
                process.signal(signal.SIGKILL)
            await asyncio.gather(ending, *tending)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        finally:
            for process in self._team.values():  # where it ends by a fault of its own
                process.signal(self._last_signal)
            await self.server.stop()
            shutil.rmtree(self._folder, ignore_errors=True)


async def _first(*awaited: Awaitable[Any]) -> None:
    """Returns when the first is done; what it raised is raised."""
    futures = [asyncio.ensure_future(one) for one in awaited]
    done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()


def _status(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return str(code)


def run(config: Path | None, settings: Settings, workers: int, reread: Callable[[], Settings]) -> int:
    """Runs N workers until SIGTERM or SIGINT.

    Raises:
        SluiceError: what a user can put right.
    """

    async def supervised() -> None:
        await Supervisor(config, msgspec.structs.replace(settings), workers, reread).run()

    asyncio.run(supervised())
    return ExitCode.ok
