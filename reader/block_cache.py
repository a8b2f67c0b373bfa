"""Byte-bounded cache of object blocks with single-flight: catch-up consumers of one history share its GETs.

Objects never change, so a block once read stays true. A read that its consumer gave up goes on and fills the cache:
the consumer's next fetch finds it.
"""

import asyncio
from collections import OrderedDict

from infra.store.port import ObjectStore

Key = tuple[str, int]


class BlockCache:
    """Blocks of `block_bytes`, at most `capacity_bytes` of them, read from `store` on demand."""

    def __init__(self, store: ObjectStore, *, block_bytes: int = 4 << 20, capacity_bytes: int = 256 << 20) -> None:
        self._store = store
        self._block_bytes = block_bytes
        self._capacity_bytes = capacity_bytes
        self._blocks: OrderedDict[Key, bytes] = OrderedDict()
        self._size = 0
        self._flights: dict[Key, asyncio.Task[bytes]] = {}

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size

    async def read(self, key: str, position: int, length: int) -> memoryview:
        """`length` bytes of an object from `position`; a view of one block, or a copy where it spans several.

        Raises `NotFound` and `Unavailable` as the store does.
        """
        first, last = position // self._block_bytes, (position + length - 1) // self._block_bytes
        blocks = await asyncio.gather(*(self._block((key, number)) for number in range(first, last + 1)))
        begin = position - first * self._block_bytes
        if len(blocks) == 1:
            return memoryview(blocks[0])[begin : begin + length]
        return memoryview(b"".join(blocks))[begin : begin + length]

    async def close(self) -> None:
        """Give up reads under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _block(self, key: Key) -> bytes:
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
            return block
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._load(key))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    async def _load(self, key: Key) -> bytes:
        name, number = key
        return await self._store.get_range(name, number * self._block_bytes, self._block_bytes)

    def _landed(self, key: Key, flight: asyncio.Task[bytes]) -> None:
        self._flights.pop(key, None)
        if flight.cancelled() or flight.exception() is not None:
            return
        block = flight.result()
        self._blocks[key] = block
        self._size += len(block)
        while self._size > self._capacity_bytes and len(self._blocks) > 1:
            _, dropped = self._blocks.popitem(last=False)
            self._size -= len(dropped)
