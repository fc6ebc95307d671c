"""Delivers alerts and dead letters until they are acknowledged.

A delivery ends in one of two ways: the sink acknowledged it, or it was rejected for good and a dead letter of it was
acknowledged. A sink that cannot be reached is tried again, for ever, with growing pauses; meanwhile the bound on what is in
flight stops the fetching.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from service.errors import SinkRejectedError, SinkUnavailableError
from service.publish.schemas.native import Alert
from service.telemetry import logs
from service.telemetry.metrics import Metrics

_log = logs.get("publish")
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 30.0


class Sink(Protocol):
    """Where alerts go. A new one is one file in ``service/publish/sinks/``."""

    async def deliver(self, alert: Alert) -> None:
        """Returns when the alert is safe there; raises SinkUnavailableError or SinkRejectedError otherwise."""


class Delivery:
    """Runs deliveries side by side, keeps their number, and waits for them.

    Args:
        sink: where alerts go.
        metrics: the process's.
    """

    def __init__(self, sink: Sink, name: str, metrics: Metrics) -> None:
        self._sink = sink
        self._name = name
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self.reachable = True

    @property
    def in_flight(self) -> int:
        """Deliveries under way."""
        return len(self._tasks)

    def alert(self, alert: Alert, rejected: Callable[[], Awaitable[None]], done: Callable[[], None]) -> None:
        """Begins to deliver an alert; ``rejected`` sends its dead letter, ``done`` is called when it is safe."""

        async def attempt() -> None:
            try:
                await self._sink.deliver(alert)
                self._metrics.count("sluice_publish_alerts_total", sink=self._name, severity=alert.severity)
            except SinkRejectedError as error:
                self._failed(str(error))
                await rejected()

        self.run(attempt, done)

    def run(self, attempt: Callable[[], Awaitable[None]], done: Callable[[], None]) -> None:
        """Begins something that is tried until it succeeds."""
        task = asyncio.get_running_loop().create_task(self._until_done(attempt, done), name="delivery")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_done(self, attempt: Callable[[], Awaitable[None]], done: Callable[[], None]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await attempt()
            except SinkUnavailableError as error:
                self._failed(str(error))
                self.reachable = False
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            self.reachable = True
            done()
            return

    def _failed(self, reason: str) -> None:
        self._metrics.count("sluice_publish_failures_total", sink=self._name, reason=reason)
        _log.warning("delivery failed", sink=self._name, reason=reason)

    async def drain(self, timeout_seconds: float) -> bool:
        """Waits until nothing is in flight. False if the time was over first."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)
        return not self._tasks

    def abandon(self) -> None:
        """Ends what is still in flight; its offsets stay uncommitted, so it comes again."""
        for task in list(self._tasks):
            task.cancel()
