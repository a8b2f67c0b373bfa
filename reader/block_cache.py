"""Byte-bounded cache of object blocks with single-flight: catch-up consumers of one history share its GETs.

Objects never change, so a block once read stays true. A read that its consumer gave up goes on and fills the cache:
the consumer's next fetch finds it.
"""

import asyncio
from collections.abc import Sequence

from infra.store.port import ObjectStore
from reader.shared_reads import SharedReads

_Block = tuple[str, int]  # key of the object, number of the block


class Stretch:
    """Neighbouring blocks of one object, to be sliced by positions in the object."""

    def __init__(self, begin: int, block_bytes: int, blocks: Sequence[bytes]) -> None:
        self._begin = begin  # position of the first block
        self._block_bytes = block_bytes
        self._blocks = blocks

    def slice(self, position: int, size: int) -> memoryview:
        """`size` bytes from `position`: a view of one block, a copy where it spans several; what lies beyond the
        object is left out."""
        number, begin = divmod(position - self._begin, self._block_bytes)
        end = begin + size
        if end <= self._block_bytes:
            return memoryview(self._blocks[number])[begin:end]
        pieces = []
        while end > 0:
            pieces.append(memoryview(self._blocks[number])[begin:end])
            number, begin, end = number + 1, 0, end - self._block_bytes
        return memoryview(b"".join(pieces))


class BlockCache:
    """Blocks of `block_bytes`, at most `capacity_bytes` of them, read from `store` on demand, `gets` at a time.

    Small blocks cost requests; large ones cost what nobody asked for, as a segment has many partitions. 1 MiB is what
    a consumer asks of a partition at once.
    """

    def __init__(
        self, store: ObjectStore, *, block_bytes: int = 1 << 20, capacity_bytes: int = 256 << 20, gets: int = 32
    ) -> None:
        self._store = store
        self._block_bytes = block_bytes
        self._blocks: SharedReads[_Block, bytes] = SharedReads(self._load, len, capacity_bytes)
        self._gets = asyncio.Semaphore(gets)

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._blocks.weight

    async def stretch(self, key: str, position: int, length: int) -> Stretch:
        """The blocks with `length` bytes (1 at least) of an object from `position`, read side by side.

        Raises `NotFound` and `Unavailable` as the store does.
        """
        first, last = position // self._block_bytes, (position + length - 1) // self._block_bytes
        blocks = await asyncio.gather(*(self._blocks.get((key, number)) for number in range(first, last + 1)))
        return Stretch(first * self._block_bytes, self._block_bytes, blocks)

    async def read(self, key: str, position: int, length: int) -> memoryview:
        """`length` bytes (1 at least) from `position`, fewer at the object's end. Raises as `stretch`."""
        return (await self.stretch(key, position, length)).slice(position, length)

    def put_whole(self, key: str, data: bytes) -> None:
        """Keep an object that came another way; nothing when it is longer than a block."""
        if len(data) <= self._block_bytes:
            self._blocks.put((key, 0), data)

    async def close(self) -> None:
        """Give up reads under way."""
        await self._blocks.close()

    async def _load(self, block: _Block) -> bytes:
        key, number = block
        async with self._gets:
            return await self._store.get_range(key, number * self._block_bytes, self._block_bytes)
