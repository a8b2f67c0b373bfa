"""A node's listeners: the server that has them, and the look-out for certificate files that change."""

import asyncio

from cauce.wire_metrics import WireMetrics
from infra.clock import Clock
from infra.metrics import Metrics
from infra.security.from_settings import listener_access
from infra.security.users import Users
from infra.settings import Settings
from infra.wire.handler import Registry
from infra.wire.server import Listener, Server
from infra.wire.throttle import RequestThrottle


class Listeners:
    """All listeners of one node."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        metrics: Metrics,
        users: Users,
        clock: Clock,
        throttle: RequestThrottle,
    ) -> None:
        """Raises `BadStart` when a listener's certificates cannot be used."""
        self._settings = settings
        self._listeners = [
            Listener(name=name, host=host, port=port, access=listener_access(settings, name, users))
            for name, host, port in settings.listeners
        ]
        self.server = Server(
            registry, self._listeners, settings.wire_limits, clock, observer=WireMetrics(metrics), throttle=throttle
        )

    async def bind(self) -> dict[str, str]:
        """Take the addresses; listener name → "host:port" as clients are told. Raises `BadStart`."""
        await self.server.bind()
        return {name: self._advertised(name, *bound) for name, bound in self.server.bound.items()}

    async def watch(self) -> None:
        """Accept with new certificates once their files have changed, until cancelled."""
        watched = [one for one in self._listeners if one.access is not None and one.access.context is not None]
        if not watched:
            return
        while True:
            await asyncio.sleep(self._settings["cauce.ssl.reload.interval.ms"] / 1000)
            for listener in watched:
                assert listener.access is not None
                if await asyncio.to_thread(listener.access.look_at_files):
                    await self.server.renew(listener.name)

    def _advertised(self, name: str, host: str, port: int) -> str:
        advertised = self._settings.advertised_listeners.get(name)
        if advertised is not None:
            host, port = advertised.host, advertised.port or port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
