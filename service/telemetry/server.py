"""What is seen from outside: ``/livez``, ``/readyz``, ``/healthz``, ``/metrics`` and ``/version``, and routes of others.

On loopback everybody on this machine may ask, by a name of this machine; elsewhere a bearer token or a client certificate is
asked for, except for the bare state of health, which orchestrators ask for without either.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST

from service.errors import SettingsError
from service.settings import Telemetry, is_loopback

Health = Callable[[], Mapping[str, bool]]
"""Claims by name; the endpoint is green when all hold."""

MOST_CONNECTIONS: Final = 256
"""Open at once; one more is closed."""
IDLE_SECONDS: Final = 10.0
"""A connection that has asked nothing for so long is closed."""
_MOST_BODY_BYTES: Final = 1024
_MOST_LINE_BYTES: Final = 4096
_MOST_FIELD_BYTES: Final = 8190
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_OPEN: Final = frozenset(("/livez", "/readyz", "/healthz"))
_CHALLENGES: Final = ('Bearer realm="sluice"', 'Basic realm="sluice", charset="UTF-8"')


class Server:
    """The HTTP endpoint of one process.

    Args:
        exposition: gives the metrics in Prometheus' text format.
        live: the claims of ``/livez``.
        ready: the claims of ``/readyz``.
        version: what ``/version`` tells.
        routes: further ones; they are behind the same door. A header that they set is left as it is.
    """

    def __init__(
        self,
        exposition: Callable[[], Awaitable[bytes]],
        live: Health,
        ready: Health,
        version: Mapping[str, str],
        routes: Iterable[web.AbstractRouteDef] = (),
    ) -> None:
        self._exposition = exposition
        self._version = dict(version)
        self._telemetry = Telemetry()
        self._context: ssl.SSLContext | None = None
        self._silent: set[asyncio.BaseProtocol] = set()
        """Connections that have asked nothing yet."""
        application = web.Application(client_max_size=_MOST_BODY_BYTES, middlewares=[self._door])
        application.router.add_get("/livez", self._health(live))
        application.router.add_get("/healthz", self._health(live))
        application.router.add_get("/readyz", self._health(ready))
        application.router.add_get("/metrics", self._serve_metrics)
        application.router.add_get("/version", self._serve_version)
        application.router.add_routes(routes)
        application.on_response_prepare.append(self._add_headers)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=1.0,
            max_line_size=_MOST_LINE_BYTES,
            max_field_size=_MOST_FIELD_BYTES,
        )
        self._listening: asyncio.Server | None = None
        self.port = 0

    async def start(self, telemetry: Telemetry) -> None:
        """Listens; port 0 takes a free one, told by :attr:`port`.

        Raises:
            SettingsError: the address, a certificate or a key cannot be used.
        """
        self._telemetry = telemetry
        self._context = _context(telemetry)
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            if telemetry.socket is not None:
                self._listening = await self._on_socket(telemetry.socket)
                return
            self._listening = await loop.create_server(self._connection, telemetry.host, telemetry.port, ssl=self._context)
        except OSError as error:
            where = telemetry.socket or f"{telemetry.host}:{telemetry.port}"
            raise SettingsError(
                f"telemetry.{'socket' if telemetry.socket else 'host'}: {where} cannot be used ({error.strerror});"
                " set another one, or port 0"
            ) from error
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _on_socket(self, path: str) -> asyncio.Server:
        _remove(path)  # of a process that was killed
        former = os.umask(0o177)
        try:
            return await asyncio.get_running_loop().create_unix_server(self._connection, path)
        finally:
            os.umask(former)

    def take(self, telemetry: Telemetry) -> None:
        """A new token counts, and renewed certificates are read, from now on.

        Raises:
            SettingsError: a certificate or key cannot be used; the former ones stay.
        """
        _context(telemetry)
        if self._context is not None:
            _fill(self._context, telemetry)
        self._telemetry = telemetry

    async def stop(self) -> None:
        """Closes the endpoint."""
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()
        if self._telemetry.socket is not None:
            _remove(self._telemetry.socket)

    # -- the door ------------------------------------------------------------------------------------------------------

    def _connection(self) -> asyncio.BaseProtocol:
        """The protocol of a new connection. Those that only hold a place are closed."""
        server = self._runner.server
        assert server is not None
        if len(server.connections) >= MOST_CONNECTIONS:
            return _Turned()
        handler = server()
        self._silent.add(handler)

        def close_if_silent() -> None:
            if handler in self._silent:
                self._silent.discard(handler)
                if handler.transport is not None:
                    handler.transport.abort()

        asyncio.get_running_loop().call_later(IDLE_SECONDS, close_if_silent)
        return handler

    @web.middleware
    async def _door(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self._silent.discard(request.protocol)
        telemetry = self._telemetry
        if request.path not in _OPEN and not self._knows(request):
            answer = web.json_response({"error": "a token is needed: Authorization: Bearer …"}, status=401)
            for challenge in _CHALLENGES:
                answer.headers.add(hdrs.WWW_AUTHENTICATE, challenge)
            return answer
        if telemetry.token is None and telemetry.socket is None and telemetry.tls_client_cafile is None:
            host = request.headers.get(hdrs.HOST, "localhost")
            if not is_loopback(_name(host)):
                # a page in somebody's browser has had a name of its own resolved to this machine
                return web.json_response({"error": "ask by a name of this machine: localhost, 127.0.0.1"}, status=421)
        return await handler(request)

    def _knows(self, request: web.Request) -> bool:
        """True if the one who asks may know more than the bare state."""
        token = self._telemetry.token
        if token is None or self._telemetry.socket is not None:
            return True
        return _has(token, request.headers.get(hdrs.AUTHORIZATION, ""))

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if request.secure:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        response.headers.pop(hdrs.SERVER, None)

    # -- what is told --------------------------------------------------------------------------------------------------

    def _health(self, health: Health) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            claims = dict(health())
            good = all(claims.values())
            told: dict[str, Any] = {"status": "ok" if good else "failing"}
            if self._knows(request):
                told["claims"] = claims
            return web.json_response(told, status=200 if good else 503)

        return handler

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=await self._exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _serve_version(self, request: web.Request) -> web.Response:
        return web.json_response(self._version)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


class _Turned(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _name(host: str) -> str:
    """A Host header without its port."""
    return host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]


def _has(token: str, authorization: str) -> bool:
    """True if the header holds the token. Takes as long for every wrong one."""
    scheme, _, given = authorization.partition(" ")
    given = given.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            given = ""
    elif scheme.lower() != "bearer":
        given = ""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (token, given))
    return hmac.compare_digest(*digests)


def prove(telemetry: Telemetry) -> None:
    """Looks at certificates and keys without listening.

    Raises:
        SettingsError: one of them cannot be used.
    """
    _context(telemetry)


def _context(telemetry: Telemetry) -> ssl.SSLContext | None:
    if telemetry.tls_certfile is None or telemetry.socket is not None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _fill(context, telemetry)
    return context


def _fill(context: ssl.SSLContext, telemetry: Telemetry) -> None:
    try:
        context.load_cert_chain(str(telemetry.tls_certfile), telemetry.tls_keyfile, lambda: "")
    except (OSError, ssl.SSLError) as error:
        told = error.strerror or error
        raise SettingsError(
            f"telemetry.tls_certfile: {telemetry.tls_certfile} with {telemetry.tls_keyfile} cannot be used: {told}"
        ) from error
    if telemetry.tls_client_cafile is not None:
        try:
            context.load_verify_locations(telemetry.tls_client_cafile)
        except (OSError, ssl.SSLError) as error:
            told = error.strerror or error
            raise SettingsError(f"telemetry.tls_client_cafile: {telemetry.tls_client_cafile} cannot be used: {told}") from error
        context.verify_mode = ssl.CERT_REQUIRED
