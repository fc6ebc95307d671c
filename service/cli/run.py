"""Run the service: read events from Kafka, publish alerts.

  sluice run --config sluice.toml
  sluice run --workers 4           four processes, one endpoint, one log
  KAFKA_BOOTSTRAP_SERVERS=kafka:9092 SLUICE_FINGERPRINT__KEY=$(cat key) sluice run

SIGTERM drains and ends; SIGHUP reads settings and detectors again; SIGUSR2 replaces the workers one by one.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import ExitCode

if TYPE_CHECKING:
    from service.settings import Settings

HELP = "run the service"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"1 or more expected, found {text!r}")
    return int(text)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML; the environment wins over it")
    parser.add_argument("--workers", type=_count, default=1, metavar="N", help="processes of this machine (default 1)")
    # how a supervisor starts its workers: the number of this one; whether it waits for a line on standard input
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--standby", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Runs until it is signalled."""
    import signal
    import sys

    from service import settings
    from service.telemetry import crash, logs

    # until the loop takes signals itself there is nothing to drain: leaving at once is leaving cleanly
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitCode.ok))
    loaded = settings.load(arguments.config)
    logs.configure(loaded.telemetry.log_level, loaded.telemetry.log_style, worker=arguments.worker)
    crash.install(logs.crashed)
    if arguments.workers > 1:
        return _supervise(arguments.config, loaded, arguments.workers)

    from service import app, supervisor

    is_worker = arguments.worker is not None
    if is_worker:
        supervisor.end_with_parent()
    # a supervisor looks at the file for all its workers
    service = app.Service(loaded, lambda: settings.load(arguments.config), None if is_worker else arguments.config)
    app.tune_allocator()  # afterwards: loading the database takes for a moment what is not to be kept
    with asyncio.Runner(loop_factory=app.new_loop) as runner:
        runner.run(service.run_until_signalled(is_worker, _called if arguments.standby else None))
        if is_worker and loaded.telemetry.socket:
            last = runner.run(service.metrics.expose())
            Path(loaded.telemetry.socket).with_suffix(".metrics").write_bytes(last)
    return ExitCode.ok


def _supervise(config: Path | None, loaded: Settings, workers: int) -> int:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from service import settings, supervisor

    # what is wrong is told before anything starts, and N workers do not compile the same database N times; in a process
    # of its own, since the supervisor has no use for what that takes
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as aside:
        aside.submit(_prepare, loaded).result()
    return supervisor.run(config, loaded, workers, lambda: settings.load(config))


def _prepare(loaded: Settings) -> None:
    from service import app

    app.prepare(loaded)


async def _called() -> None:
    """Returns at a line on standard input."""
    import sys

    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    try:
        await reader.readline()
    finally:
        transport.close()
