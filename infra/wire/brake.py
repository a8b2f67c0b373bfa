"""Holds one connection back for as long as the throttle says; the answer that says so leaves at once (KIP-219)."""

import asyncio
from collections.abc import Callable
from typing import Any

from infra.clock import Clock
from infra.wire.connection import Connection
from infra.wire.exchange import Exchange
from infra.wire.throttle import Measured, RequestThrottle


class Brake:
    """Of one connection. `go_on` is called when it may be served again."""

    def __init__(self, throttle: RequestThrottle, clock: Clock, go_on: Callable[[], None]) -> None:
        self._throttle = throttle
        self._clock = clock
        self._go_on = go_on
        self._connection: Connection | None = None
        self._until = 0.0  # seconds, monotonic
        self._timer: asyncio.TimerHandle | None = None

    def on(self, connection: Connection) -> None:
        """The connection that it holds back."""
        self._connection = connection

    @property
    def active(self) -> bool:
        """Whether requests must pass through it."""
        return self._throttle.active

    def charge(self, exchange: Exchange) -> None:
        """A request starts."""
        if self._throttle.active:
            self._hold(self._throttle.begin(exchange.context, exchange.request, exchange.frame_bytes))

    async def handle(self, exchange: Exchange) -> Any:
        """Have a request answered and measured: the response, or None."""
        context, request = exchange.context, exchange.request
        work = Measured(exchange.handler.handle(context, request), self._clock)
        response = await work
        self._hold(self._throttle.end(context, request, response, work.busy_seconds))
        return response

    def release(self) -> None:
        """Hold nothing back any more: the connection is gone, or is to end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connection is not None:
            self._connection.muted = False

    def _hold(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        if seconds <= 0 or self._connection is None or self._connection.closing or until <= self._until:
            return
        self._until = until
        self.release()
        self._connection.muted = True
        self._timer = asyncio.get_running_loop().call_later(seconds, self._over)

    def _over(self) -> None:
        self.release()
        self._go_on()
