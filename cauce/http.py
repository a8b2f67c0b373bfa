"""Health and metrics over HTTP: /healthz (the process lives), /readyz (it serves), /metrics (Prometheus)."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from infra.errors import BadStart

Check = Callable[[], str | None]  # what is wrong, None when nothing is


class HealthServer:
    """A small HTTP server beside the wire."""

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, *, ready: Check, refresh: Callable[[], None]
    ) -> None:
        """`refresh` is called before each scrape."""
        self._host = host
        self._port = port
        self._registry = registry
        self._ready = ready
        self._refresh = refresh
        self._runner: web.AppRunner | None = None
        self.bound: tuple[str, int] = (host, port)

    async def start(self) -> None:
        """Listen. Raises `BadStart` when the address cannot be had."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self.close()
            raise BadStart(f"cauce.http={self._host}:{self._port} cannot be listened on: {error.strerror}") from None
        self.bound = self._runner.addresses[0][:2]

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, request: web.Request) -> web.Response:
        problem = self._ready()
        if problem is None:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "problem": problem}, status=503)

    async def _metrics(self, request: web.Request) -> web.Response:
        self._refresh()
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
