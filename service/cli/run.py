"""Run the service: read events from Kafka, publish alerts.

sluice run --config sluice.toml
KAFKA_BOOTSTRAP_SERVERS=kafka:9092 SLUICE_FINGERPRINT__KEY=$(cat key) sluice run
"""

from __future__ import annotations

import argparse
from pathlib import Path

from service.errors import ExitCode

HELP = "run the service"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML; the environment wins over it")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes of this machine (default 1)")


def run(arguments: argparse.Namespace) -> int:
    """Runs until it is signalled."""
    import asyncio
    import signal
    import sys

    from service import app, settings, supervisor
    from service.telemetry import logs

    # until the loop takes signals itself there is nothing to drain: leaving at once is leaving cleanly
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitCode.ok))
    loaded = settings.load(arguments.config)
    logs.configure(loaded.telemetry.log_level, loaded.telemetry.log_style)
    if arguments.workers > 1:
        return supervisor.run(arguments.config, loaded, arguments.workers)
    service = app.Service(loaded)
    app.tune_allocator()  # afterwards: loading the database takes for a moment what is not to be kept
    with asyncio.Runner(loop_factory=app.new_loop) as runner:
        runner.run(service.run_until_signalled())
    return ExitCode.ok
