"""The processes of one machine: starts N workers, restarts those that end, and ends them together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

from service.errors import ExitCode
from service.settings import Settings
from service.telemetry import logs

_log = logs.get("supervisor")
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
STABLE_SECONDS: Final = 60.0
"""A worker that ran so long starts again at once."""


class _Worker:
    def __init__(self, number: int, config: Path | None, settings: Settings) -> None:
        self.number = number
        self._command = [sys.executable, "-m", "service", "run", *(["--config", str(config)] if config else [])]
        port = settings.telemetry.port
        self._environment = dict(os.environ)
        self._environment["SLUICE_TELEMETRY__PORT"] = str(port + number if port else 0)
        self._environment["SLUICE_KAFKA__CLIENT_ID"] = f"{settings.kafka.client_id}-{number}"
        if settings.kafka.group_instance_id:
            self._environment["SLUICE_KAFKA__GROUP_INSTANCE_ID"] = f"{settings.kafka.group_instance_id}-{number}"
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._due = 0.0
        self._started = 0.0

    def tend(self) -> None:
        """Starts the process if it is not running and its pause is over."""
        now = time.monotonic()
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._pause = FIRST_PAUSE_SECONDS if now - self._started > STABLE_SECONDS else self._pause
            _log.warning("worker ended, starting it again", worker=self.number, status=status, pause_seconds=self._pause)
            self._process, self._due = None, now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        if now >= self._due:
            self._process = subprocess.Popen(self._command, env=self._environment)
            self._started = now

    def signal(self, number: int) -> None:
        """Passes a signal on."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> None:
        """Waits for the end, and makes one."""
        if self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def run(config: Path | None, settings: Settings, workers: int) -> int:
    """Runs N workers until SIGTERM or SIGINT. Worker n serves its endpoint on the port n above the configured one."""
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, on_signal)

    def on_reload(number: int, frame: FrameType | None) -> None:
        for worker in team:
            worker.signal(number)

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, on_reload)
    team = [_Worker(number, config, settings) for number in range(workers)]
    while not asked:
        for worker in team:
            worker.tend()
        time.sleep(0.2)
    for worker in team:
        worker.signal(signal.SIGTERM)
    for worker in team:
        worker.wait(settings.consume.drain_timeout_ms / 1000 + 10)
    return ExitCode.ok
