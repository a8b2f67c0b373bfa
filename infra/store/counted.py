"""Counts what a store is asked, by kind of request, for metrics and for tests of how few requests something takes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import Exists, NotFound
from infra.store.body import buffers_of
from infra.store.port import Buffer, ObjectInfo, ObjectStore

_Answer = TypeVar("_Answer")

Observe = Callable[[str, str, float, int], None]
"""Told of every request when it ends: kind (create, get, head, list, delete), outcome (ok, exists, missing, error),
seconds it took, bytes of the body."""


class CountedStore:
    """An `ObjectStore` that tells `observe` of every request to the store inside."""

    def __init__(self, store: ObjectStore, observe: Observe, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._observe = observe
        self._clock = clock

    def __repr__(self) -> str:
        return f"CountedStore({self._store!r})"

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        size = sum(memoryview(buffer).nbytes for buffer in buffers_of(body))
        await self._count("create", self._store.create(key, body), lambda _: size)

    async def get(self, key: str) -> bytes:
        return await self._count("get", self._store.get(key), len)

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        return await self._count("get", self._store.get_range(key, position, length), len)

    async def head(self, key: str) -> ObjectInfo | None:
        return await self._count("head", self._store.head(key), lambda _: 0)

    async def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        begin, outcome = self._clock.monotonic(), "error"
        try:
            async for info in self._store.list(prefix, start_after=start_after):
                yield info
            outcome = "ok"
        except GeneratorExit:  # the reader had enough
            outcome = "ok"
            raise
        finally:
            self._observe("list", outcome, self._clock.monotonic() - begin, 0)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._count("delete", self._store.delete(keys), lambda _: 0)

    async def close(self) -> None:
        await self._store.close()

    async def _count(self, kind: str, request: Awaitable[_Answer], size: Callable[[_Answer], int]) -> _Answer:
        begin, outcome, body = self._clock.monotonic(), "error", 0
        try:
            answer = await request
            outcome, body = "ok", size(answer)
        except Exists:
            outcome = "exists"
            raise
        except NotFound:
            outcome = "missing"
            raise
        finally:
            self._observe(kind, outcome, self._clock.monotonic() - begin, body)
        return answer
