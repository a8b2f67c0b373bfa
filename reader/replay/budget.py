"""A bound on the bytes that are read ahead."""

import asyncio
from collections import deque


class ByteBudget:
    """Weights are taken in turn; one that is greater than the whole budget waits until nothing else is held."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, weight: int) -> None:
        """Wait until so many bytes are free."""
        if not self._waiting and self._fits(weight):
            self._held += weight
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((weight, turn))
        await turn

    def give(self, weight: int) -> None:
        """Give back what was taken."""
        self._held -= weight
        while self._waiting:
            weight, turn = self._waiting[0]
            if turn.done():  # who waited was cancelled
                self._waiting.popleft()
            elif self._fits(weight):
                self._waiting.popleft()
                self._held += weight
                turn.set_result(None)
            else:
                return

    def _fits(self, weight: int) -> bool:
        return self._held == 0 or self._held + weight <= self._capacity
