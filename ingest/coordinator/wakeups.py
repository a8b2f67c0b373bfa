"""One timer for many groups: wakes the earliest, however many wait."""

import asyncio
import heapq
from collections.abc import Callable

from infra.clock import Clock


class WakeUps:
    """Names to wake at times (monotonic ms); a name may be there more than once, and is woken as often."""

    def __init__(self, clock: Clock, wake: Callable[[str], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._heap: list[tuple[int, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_ms = 0

    def now_ms(self) -> int:
        """The clock that the times are of."""
        return int(self._clock.monotonic() * 1_000)

    def at(self, when_ms: int, name: str) -> None:
        """Wake a name at a time, or right after it."""
        heapq.heappush(self._heap, (when_ms, name))
        self._arm()

    def close(self) -> None:
        """Wake nobody any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if not self._heap:
            return
        earliest = self._heap[0][0]
        if self._timer is not None:
            if self._timer_at_ms <= earliest:
                return
            self._timer.cancel()
        self._timer_at_ms = earliest
        # One more millisecond: the clock counts whole ones, and waking too early would wake again and again.
        delay = max(0, earliest - self.now_ms() + 1) / 1_000
        self._timer = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now_ms = self.now_ms()
        while self._heap and self._heap[0][0] <= now_ms:
            self._wake(heapq.heappop(self._heap)[1])
        self._arm()
