"""Shares what several ask for: one read of a key at a time, and its outcome kept while there is room.

A read goes on when everybody who asked has given up, so that whoever asks again finds it. Must not know what is read.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class SharedReads(Generic[K, V]):
    """Values by key, `capacity` of them at the most as `weigh` counts; the least recently used go first."""

    def __init__(self, load: Callable[[K], Coroutine[Any, Any, V]], weigh: Callable[[V], int], capacity: int) -> None:
        self._load = load
        self._weigh = weigh
        self._capacity = capacity
        self._held: OrderedDict[K, V] = OrderedDict()
        self._weight = 0
        self._flights: dict[K, asyncio.Task[V]] = {}

    @property
    def weight(self) -> int:
        """Of all that is kept."""
        return self._weight

    def has(self, key: K) -> bool:
        """Whether the value is kept or under way."""
        return key in self._held or key in self._flights

    def begin(self, key: K) -> None:
        """Have the value read, unless it is kept or under way."""
        if not self.has(key):
            flight = self._flights[key] = asyncio.create_task(self._load(key))
            flight.add_done_callback(lambda done: self._landed(key, done))

    async def get(self, key: K) -> V:
        """The value, kept or read now. Raises what reading it raises, to all who wait; a failure is not kept."""
        self.begin(key)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        return await asyncio.shield(self._flights[key])

    def put(self, key: K, value: V) -> None:
        """Keep a value that came another way."""
        if key in self._held:
            self._weight -= self._weigh(self._held.pop(key))
        self._held[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._capacity:
            _, dropped = self._held.popitem(last=False)
            self._weight -= self._weigh(dropped)

    async def close(self) -> None:
        """Give up the reads under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, key: K, flight: asyncio.Task[V]) -> None:
        self._flights.pop(key, None)
        if not flight.cancelled() and flight.exception() is None:
            self.put(key, flight.result())
