"""What all connections of one server share: buffers, budgets, and the requests under way.

Counts and decides; sockets belong to `channel.py` and `server.py`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from infra.clock import Clock
from infra.limits import RECEIVE_BUFFER_BYTES, WireLimits
from infra.wire.buffer_pool import BufferPool
from infra.wire.handler import Registry
from infra.wire.observer import WireObserver
from infra.wire.throttle import RequestThrottle


class Traffic:
    """One per server. `receive_buffer` is shared: an event loop fills it for one connection and empties it at once."""

    def __init__(
        self,
        registry: Registry,
        limits: WireLimits,
        clock: Clock,
        observer: WireObserver,
        pool: BufferPool,
        throttle: RequestThrottle | None = None,
    ) -> None:
        self.registry = registry
        self.limits = limits
        self.clock = clock
        self.observer = observer
        self.pool = pool
        self.throttle = throttle
        self.receive_buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        self.tasks: set[asyncio.Task[None]] = set()  # handlers under way, also those whose connection is gone
        self._hosts: Counter[str] = Counter()
        self._connections = 0
        self._last_id = 0
        self._request_bytes = 0  # whole frames that are not answered yet
        self._partial_bytes = 0  # of frames that are still coming
        self._wakes: list[Callable[[], None]] = []

    def enter(self, host: str) -> int | None:
        """Count a new connection and give it a number; None when there are too many."""
        limits = self.limits
        if self._connections >= limits.max_connections:
            return None
        if limits.max_connections_per_ip and self._hosts[host] >= limits.max_connections_per_ip:
            return None
        self._hosts[host] += 1
        self._connections += 1
        self._last_id += 1
        return self._last_id

    def leave(self, host: str) -> None:
        """A connection that entered is gone."""
        self._connections -= 1
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]

    @property
    def full(self) -> bool:
        """So many request bytes are held that reading pauses; requests under way will make room."""
        return self._request_bytes >= self.limits.max_bytes_per_node

    def hold_request_bytes(self, change: int) -> None:
        """Bytes of whole requests came (or went, when negative); wakes those who waited for room."""
        was_full = self.full
        self._request_bytes += change
        if was_full and not self.full:
            wakes, self._wakes = self._wakes, []
            for wake in wakes:
                wake()

    def hold_partial_bytes(self, change: int) -> bool:
        """Bytes of incomplete frames came or went. False when there are too many: such frames need not ever become
        whole, so nobody can wait for them, and the connection that brought the last ones is closed."""
        self._partial_bytes += change
        return change <= 0 or self._partial_bytes <= self.limits.max_bytes_per_node

    def when_not_full(self, wake: Callable[[], None]) -> None:
        """Call `wake` once there is room again."""
        self._wakes.append(wake)
