"""The bucket of a simulated cluster, and each node's way to it: what the adapter for S3 does, over a faulty network.

A create is sent again until it is made or refused, and a refusal by our own earlier try is a success, as the port asks.
What a dead node had sent may land long after its death.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from infra.clock import Clock
from infra.errors import Exists, NotFound, Unavailable
from infra.store.body import buffers_of, slice_range
from infra.store.memory import MemoryObjectStore
from infra.store.port import Buffer, ObjectInfo
from tests.simulation.network import Network, at_once

BUCKET = "bucket"
_Answer = TypeVar("_Answer")

_ANSWER_SECONDS = 3.0
_FIRST_DELAY_SECONDS = 0.05
_MOST_DELAY_SECONDS = 2.0
_PAGE = 40  # keys, so that listings are of several moments


class Bucket:
    """The store itself: one for all."""

    def __init__(self, clock: Clock) -> None:
        self.objects = MemoryObjectStore(clock)
        self.writers: dict[str, str] = {}  # key → writer id of the object there

    def put(self, key: str, body: bytes, writer: str) -> None:
        """Create. Raises `Exists` for another writer's object."""
        try:
            at_once(self.objects.create(key, body))
        except Exists:
            if self.writers.get(key) != writer:
                raise
        self.writers[key] = writer


class BucketClient:
    """Implements `ObjectStore` for one node."""

    def __init__(self, bucket: Bucket, network: Network, clock: Clock, patience_seconds: float) -> None:
        self._bucket = bucket
        self._network = network
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._unsettled: dict[str, tuple[bytes, str]] = {}

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        payload = b"".join(buffers_of(body))
        known, writer = self._unsettled.pop(key, (b"", ""))
        if known != payload or not writer:
            writer = self._clock.token()
        try:
            await self._try(f"create {key}", lambda: self._bucket.put(key, payload, writer))
        except (Unavailable, asyncio.CancelledError):
            self._unsettled[key] = (payload, writer)
            raise

    async def get(self, key: str) -> bytes:
        return await self._try(f"get {key}", lambda: at_once(self._bucket.objects.get(key)))

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        def read() -> bytes:
            body = at_once(self._bucket.objects.get(key))
            begin, end = slice_range(position, length, len(body))
            return body[begin:end]

        return await self._try(f"get {key} {position}+{length}", read)

    async def head(self, key: str) -> ObjectInfo | None:
        try:
            return await self._try(f"head {key}", lambda: _present(at_once(self._bucket.objects.head(key)), key))
        except NotFound:
            return None

    async def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        after = start_after
        while True:
            page = await self._try(f"list {prefix} {after}", lambda: at_once(_read_page(self._bucket, prefix, after)))  # noqa: B023
            for info in page:
                yield info
            if len(page) < _PAGE:
                return
            after = page[-1].key

    async def delete(self, keys: Sequence[str]) -> None:
        await self._try(f"delete {len(keys)} {keys[0] if keys else ''}", lambda: self._delete(keys))

    async def close(self) -> None:
        return

    def _delete(self, keys: Sequence[str]) -> None:
        at_once(self._bucket.objects.delete(keys))
        for key in keys:
            self._bucket.writers.pop(key, None)

    async def _try(self, what: str, effect: Callable[[], _Answer | Coroutine[Any, Any, _Answer]]) -> _Answer:
        deadline = self._clock.monotonic() + self._patience_seconds
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                return await self._network.ask(BUCKET, what, effect, _ANSWER_SECONDS)
            except Unavailable:
                wait = self._clock.uniform(delay / 2, delay)
                if self._clock.monotonic() + wait > deadline:
                    raise
            await asyncio.sleep(wait)
            delay = min(2 * delay, _MOST_DELAY_SECONDS)


def _present(info: ObjectInfo | None, key: str) -> ObjectInfo:
    if info is None:
        raise NotFound(key)
    return info


async def _read_page(bucket: Bucket, prefix: str, after: str) -> list[ObjectInfo]:
    page: list[ObjectInfo] = []
    async for info in bucket.objects.list(prefix, start_after=after):
        page.append(info)
        if len(page) == _PAGE:
            break
    return page
