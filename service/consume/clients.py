"""Clients of the library: what becomes of one that falls, and how one is ended.

aiokafka works in background tasks: one keeps the metadata, one the place in the group, others send heartbeats, look up offsets
and fetch. A task that meets what it did not expect ends, and nobody starts it again: some are told by every later call, the
fetching one by none, and whoever waits for metadata then waits for ever. So the metadata go on whatever happens
(:func:`install`), a consumer of which a task has ended is told (:func:`fallen`), and another one takes its place.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from service.telemetry import logs

_log = logs.get("consume")
END_SECONDS: Final = 3.0
"""How long a client is given to end."""
_MARK: Final = "_goes_on"
_ENDLESS: Final = ("_coordination_task", "_reset_committed_task")
"""Tasks of a coordinator that end only with it."""
_PASSING: Final = ("_heartbeat_task", "_commit_refresh_task")
"""Tasks of a coordinator that are started for each assignment."""


class FallenError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """A client does not go on: one of its tasks has ended."""

    retriable = True


def install() -> None:
    """Has every client of this process keep up its metadata, whatever an attempt at them raises; once."""
    synchronize = AIOKafkaClient._md_synchronizer
    if hasattr(synchronize, _MARK):
        return

    @functools.wraps(synchronize)
    async def going_on(client: Any) -> None:
        while True:
            try:
                await synchronize(client)
            except Exception as error:  # noqa: BLE001  # it must not end: all who wait for it would wait for ever
                _log.warning("metadata cannot be taken in, trying again", error=type(error).__name__)
            await asyncio.sleep(client._retry_backoff)
            if not client._md_update_waiter.done():  # those who wait have been waiting since the attempt
                client._md_update_waiter.set_result(None)

    setattr(going_on, _MARK, True)
    AIOKafkaClient._md_synchronizer = going_on


def fallen(consumer: Any) -> BaseException | None:
    """Why a consumer does not go on; None while it does."""
    if consumer._closed or consumer._fetcher is None:
        return FallenError("not started, or ended")
    for task, endless in _tasks(consumer):
        if task.done() and (error := _error(task)) is not None:
            return error
        if task.done() and endless:
            return FallenError(task.get_name())
    return None


def _error(task: asyncio.Task[Any]) -> BaseException | None:
    return FallenError("cancelled") if task.cancelled() else task.exception()


def _tasks(consumer: Any) -> Iterator[tuple[asyncio.Task[Any], bool]]:
    """The tasks of a consumer, each with whether it is to end only with it."""
    coordinator, fetcher = getattr(consumer, "_coordinator", None), getattr(consumer, "_fetcher", None)
    for names, endless in ((_ENDLESS, True), (_PASSING, False)):
        for name in names:
            if (task := getattr(coordinator, name, None)) is not None:
                yield task, endless
    if fetcher is not None:
        yield fetcher._fetch_task, True


async def halt(consumer: Any) -> None:
    """Has a consumer do nothing more by itself in the group. It is still asked, and still commits."""
    coordinator = getattr(consumer, "_coordinator", None)
    await _cancel([task for name in (*_ENDLESS, *_PASSING) if (task := getattr(coordinator, name, None)) is not None])


async def end(client: Any) -> None:
    """Ends a consumer or an admin client, whatever state it is in and whether or not its broker answers."""
    try:
        async with asyncio.timeout(END_SECONDS):
            await (client.stop if hasattr(client, "stop") else client.close)()
        return
    except Exception as error:  # noqa: BLE001  # nothing that comes of ending one may end the worker
        _log.warning("a client of the broker does not end by itself, it is cut off", error=type(error).__name__)
    inner = client._client
    await _cancel([task for task, _ in _tasks(client)] + ([inner._sync_task] if inner._sync_task is not None else []))
    for connection in list(inner._conns.values()):
        if connection._writer is not None:
            connection._writer.transport.abort()
        connection.close()


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        done, _ = await asyncio.wait(tasks, timeout=END_SECONDS)
        for task in done:
            _error(task)  # has been told, or is of no interest any more
