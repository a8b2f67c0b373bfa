"""Listens on named listeners and keeps the connections: starts, closes the idle ones, stops cleanly.

What a connection does stands in `channel.py` and `connection.py`; which APIs exist, in the registry.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import BadStart
from infra.limits import TLS_SHUTDOWN_SECONDS, WireLimits
from infra.security.listener_access import ListenerAccess
from infra.wire.buffer_pool import BufferPool
from infra.wire.channel import Channel
from infra.wire.handler import Registry
from infra.wire.observer import WireObserver
from infra.wire.throttle import RequestThrottle
from infra.wire.traffic import Traffic

_log = logging.getLogger(__name__)
_IDLE_LOOKS = 10  # how often within the idle time connections are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A name, and where to listen; port 0 takes a free one. Without `access` it is plain text and lets everybody in."""

    name: str
    host: str
    port: int
    access: ListenerAccess | None = None


class Server:
    """Serves the handlers of a registry. `bound` tells where each listener really listens, once started."""

    def __init__(
        self,
        registry: Registry,
        listeners: Sequence[Listener],
        limits: WireLimits | None = None,
        clock: Clock = SYSTEM_CLOCK,
        *,
        observer: WireObserver | None = None,
        pool: BufferPool | None = None,
        throttle: RequestThrottle | None = None,
    ) -> None:
        self._listeners = tuple(listeners)
        self._limits = limits or WireLimits()
        self._clock = clock
        self._traffic = Traffic(
            registry, self._limits, clock, observer or WireObserver(), pool or BufferPool(), throttle
        )
        self._channels: set[Channel] = set()
        self._servers: dict[str, list[asyncio.Server]] = {}  # listener name → what accepts for it
        self._started = False
        self._idle_look: asyncio.TimerHandle | None = None
        self.bound: dict[str, tuple[str, int]] = {}

    async def bind(self) -> None:
        """Take the addresses, so that `bound` is known; connections are refused until `start`.

        Raises `BadStart` when an address cannot be had; none is taken then.
        """
        for listener in self._listeners:
            try:
                server = await self._listen(listener, host=listener.host, port=listener.port)
            except OSError as error:
                self._stop_listening()
                raise BadStart(
                    f"listener {listener.name} cannot listen on {listener.host}:{listener.port}: {error.strerror}"
                ) from error
            self._servers[listener.name] = [server]
            self.bound[listener.name] = (listener.host, server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen, at the addresses that `bind` took or now. Raises as `bind` does."""
        if not self._servers:
            await self.bind()
        self._started = True
        for server in [server for servers in self._servers.values() for server in servers]:
            await server.start_serving()
        self._look_for_idle()

    async def renew(self, name: str) -> None:
        """Accept with the listener's `access.context` of now: the same socket, a new acceptor. Connections live on."""
        listener = next(listener for listener in self._listeners if listener.name == name)
        old = self._servers.get(name, [])
        sockets = [socket.dup() for server in old for socket in server.sockets]
        self._servers[name] = [await self._listen(listener, sock=socket) for socket in sockets]
        if self._started:
            for server in self._servers[name]:
                await server.start_serving()
        for server in old:
            server.close()

    async def close(self, drain_seconds: float = 10.0) -> None:
        """Stop listening and reading, answer what has arrived and close; after `drain_seconds` close what is left."""
        self._stop_listening()
        if self._idle_look is not None:
            self._idle_look.cancel()
        for channel in list(self._channels):
            channel.stop()
        await self._gone(drain_seconds)
        if self._channels:
            _log.info("closing %d connections that are still busy", len(self._channels))
            for channel in list(self._channels):
                channel.abort()
            await self._gone(None)
        await self._cancel_handlers()

    async def _listen(self, listener: Listener, **where: Any) -> asyncio.Server:
        name, access = listener.name, listener.access
        options: dict[str, Any] = {}
        if access is not None and access.context is not None:
            options["ssl"] = access.context
            options["ssl_handshake_timeout"] = self._limits.authentication_seconds
            options["ssl_shutdown_timeout"] = TLS_SHUTDOWN_SECONDS
        return await asyncio.get_running_loop().create_server(
            lambda: Channel(self._traffic, name, self._channels, access),
            **where,
            **options,
            backlog=1024,
            start_serving=False,
        )

    def _stop_listening(self) -> None:
        for server in [server for servers in self._servers.values() for server in servers]:
            server.close()
        self._servers.clear()

    async def _gone(self, timeout: float | None) -> None:
        if self._channels:
            await asyncio.wait([channel.gone for channel in self._channels], timeout=timeout)

    async def _cancel_handlers(self) -> None:
        tasks = list(self._traffic.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look_for_idle(self) -> None:
        idle_seconds = self._limits.idle_seconds
        long_ago = self._clock.monotonic() - idle_seconds
        for channel in list(self._channels):
            if channel.is_idle_since(long_ago):
                channel.abort()
        self._idle_look = asyncio.get_running_loop().call_later(idle_seconds / _IDLE_LOOKS, self._look_for_idle)
