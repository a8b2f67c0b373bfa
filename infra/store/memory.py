"""An object store in memory: the twin for tests and simulations, and what `memory:` opens. Nothing outlives it."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Sequence

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import Exists, NotFound
from infra.store.body import buffers_of, slice_range
from infra.store.port import Buffer, ObjectInfo


class MemoryObjectStore:
    """Implements `ObjectStore`. Several nodes of one test share one instance; `close` forgets nothing."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[bytes, int]] = {}  # key → (body, modified ms)
        self._keys: list[str] = []  # sorted

    def __repr__(self) -> str:
        return f"MemoryObjectStore({len(self._keys)} objects)"

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        if key in self._objects:
            raise Exists(key)
        self._objects[key] = (b"".join(buffers_of(body)), self._clock.now_ms())
        insort(self._keys, key)

    async def get(self, key: str) -> bytes:
        return self._body(key)

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        body = self._body(key)
        begin, end = slice_range(position, length, len(body))
        return body[begin:end]

    async def head(self, key: str) -> ObjectInfo | None:
        return self._info(key) if key in self._objects else None

    async def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        at = max(bisect_left(self._keys, prefix), bisect_right(self._keys, start_after) if start_after else 0)
        while at < len(self._keys) and (key := self._keys[at]).startswith(prefix):
            yield self._info(key)
            at = bisect_right(self._keys, key)  # objects may have come and gone while we were away

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            if self._objects.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    async def close(self) -> None:
        return

    def _body(self, key: str) -> bytes:
        try:
            return self._objects[key][0]
        except KeyError:
            raise NotFound(key) from None

    def _info(self, key: str) -> ObjectInfo:
        body, modified_ms = self._objects[key]
        return ObjectInfo(key, len(body), modified_ms)
