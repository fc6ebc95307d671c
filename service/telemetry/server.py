"""What is seen from outside: ``/livez``, ``/readyz``, ``/healthz``, ``/metrics`` and ``/version``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.errors import SettingsError
from service.telemetry.metrics import Metrics

Health = Callable[[], Mapping[str, bool]]
"""Claims by name; the endpoint is green when all hold."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


class Server:
    """The HTTP endpoint of one process; ``routes`` are pages of others that it serves as well."""

    def __init__(
        self,
        metrics: Metrics,
        live: Health,
        ready: Health,
        version: Mapping[str, str],
        routes: Iterable[web.AbstractRouteDef] = (),
    ) -> None:
        self._metrics = metrics
        self._version = dict(version)
        application = web.Application(client_max_size=1024)
        application.router.add_get("/livez", self._health(live))
        application.router.add_get("/healthz", self._health(live))
        application.router.add_get("/readyz", self._health(ready))
        application.router.add_get("/metrics", self._serve_metrics)
        application.router.add_get("/version", self._serve_version)
        application.add_routes(routes)
        self._runner = web.AppRunner(application, access_log=None)
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listens; port 0 takes a free one, told by :attr:`port`.

        Raises:
            SettingsError: the address cannot be used.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(
                f"telemetry.listen: {host}:{port} cannot be used ({error.strerror}); set another address or port 0"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes the endpoint."""
        await self._runner.cleanup()

    def _health(self, health: Health) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            claims = dict(health())
            good = all(claims.values())
            return web.json_response(
                {"status": "ok" if good else "failing", "claims": claims}, status=200 if good else 503, headers=_HEADERS
            )

        return handler

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST})

    async def _serve_version(self, request: web.Request) -> web.Response:
        return web.json_response(self._version, headers=_HEADERS)
