"""One exchange with a provider: bounded in time and size, tried again where that may help.

No exception leaves it, and none of their texts is looked at: they quote URLs. What went wrong is a reason of the closed list.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
import msgspec

from service.probe.answer import Reply
from service.probe.limits import Breaker, Rate
from service.probe.network import AddressRefusedError, Network
from service.probe.request import Request
from service.telemetry.metrics import Metrics

MAX_BODY: Final = 256 * 1024
"""Bytes of an answer that are read, and the same once they are unpacked."""

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
_BUSY: Final = frozenset((408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529))


class Failure(msgspec.Struct, frozen=True):
    """No answer; ``reason`` is a key of :data:`service.probe.answer.REASONS`."""

    reason: str


class Client:
    """Sends requests of one process.

    Args:
        network: the way out.
        attempts: how often one request is sent at the most.
        metrics: the process's.
        sleep: ``asyncio.sleep``, or a test's.
    """

    def __init__(
        self, network: Network, attempts: int, metrics: Metrics, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._network = network
        self._attempts = attempts
        self._metrics = metrics
        self._sleep = sleep

    async def ask(self, request: Request, rate: Rate, breaker: Breaker) -> Reply | Failure:
        """The provider's answer, or why there is none."""
        outcome: Reply | Failure = Failure("connection")
        for attempt in range(self._attempts):
            if not breaker.admit():
                return Failure("provider_down")
            try:
                pause = rate.take()
                if pause > LONGEST_PAUSE_SECONDS:
                    return Failure("rate_limited")
                await self._sleep(pause)
                outcome = await self._once(request)
                wait = self._judged(outcome, rate, breaker)
            finally:
                breaker.released()
            if wait is None:
                return outcome
            if wait > LONGEST_PAUSE_SECONDS or attempt + 1 == self._attempts:
                break
            await self._sleep(wait or random.uniform(0.5, 1) * min(FIRST_PAUSE_SECONDS * 2**attempt, LONGEST_PAUSE_SECONDS))
        return outcome

    def _judged(self, outcome: Reply | Failure, rate: Rate, breaker: Breaker) -> float | None:
        """None if this is what there is to say; else how long to wait, 0 where the provider did not ask for it."""
        if isinstance(outcome, Failure):
            self._metrics.count("sluice_probe_requests_total", outcome=outcome.reason)
            if outcome.reason in ("address_refused", "tls"):
                return None
            breaker.failed()
            return 0.0
        self._metrics.count("sluice_probe_requests_total", outcome="answered")
        if outcome.status not in _BUSY:
            breaker.succeeded()
            return None
        asked = retry_after(outcome.headers)
        if outcome.status == 429:
            breaker.succeeded()
            rate.hold(min(asked or 1.0, 3600.0))
        else:
            breaker.failed()
        return asked or 0.0

    async def _once(self, request: Request) -> Reply | Failure:
        try:
            async with self._network.request(request.method, request.url, dict(request.headers), request.body) as response:
                body = await _bounded(response.content)
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, headers, _unpacked(body, headers.get("content-encoding", "")))
        except AddressRefusedError:
            return Failure("address_refused")
        except TimeoutError:
            return Failure("timeout")
        except aiohttp.ClientConnectorDNSError as error:
            return Failure("address_refused" if isinstance(error.os_error, AddressRefusedError) else "dns")
        except (aiohttp.ClientSSLError, ssl.SSLError):
            return Failure("tls")
        except aiohttp.ClientError as error:
            refused = isinstance(getattr(error, "os_error", None), AddressRefusedError)
            return Failure("address_refused" if refused else "connection")
        except (OSError, ValueError):
            return Failure("connection")


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """The beginning of a body."""
    parts, length = [], 0
    while length < MAX_BODY and (part := await content.read(MAX_BODY - length)):
        parts.append(part)
        length += len(part)
    return b"".join(parts)


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        return body
    try:
        return zlib.decompressobj(31).decompress(body, MAX_BODY)
    except zlib.error:
        return b""


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float:
    """Seconds that the provider asks us to wait, 0.0 where it does not say or says nonsense."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, moment - (time.time() if now is None else now))
