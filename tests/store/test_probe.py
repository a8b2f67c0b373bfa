"""The probe refuses every store that does not keep two writers apart."""

import asyncio
from collections.abc import Sequence

import pytest

from infra.errors import BadStart, Exists
from infra.store.memory import MemoryObjectStore
from infra.store.port import Buffer
from infra.store.probe import probe_store


class OverwritingStore(MemoryObjectStore):
    """Ignores the condition, as several servers do."""

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        await self.delete([key])
        await super().create(key, body)


class RacyStore(MemoryObjectStore):
    """Looks first and writes later: right for one writer, wrong for two."""

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        there = await self.head(key)
        await asyncio.sleep(0)
        if there is not None:
            raise Exists(key)
        await self.delete([key])
        await super().create(key, body)


class RefusingStore(MemoryObjectStore):
    """Takes nothing at all."""

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        await asyncio.sleep(0)
        if await self.head(key) is None:
            await super().create(key, body)
        raise Exists(key)


class LastWinsStore(MemoryObjectStore):
    """Tells the first writer that it won, and keeps the bytes of another."""

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        if await self.head(key) is None:
            return await super().create(key, body)
        await self.delete([key])
        await super().create(key, body)
        raise Exists(key)


@pytest.mark.parametrize("bad", [OverwritingStore, RacyStore, RefusingStore, LastWinsStore])
def test_a_store_that_confuses_writers_is_refused(bad: type[MemoryObjectStore]) -> None:
    with pytest.raises(BadStart, match=r"s3://x does not keep two writers apart: .* Use a store that honours"):
        asyncio.run(probe_store(bad(), "s3://x"))


def test_a_good_store_is_accepted_and_left_empty() -> None:
    async def main() -> None:
        store = MemoryObjectStore()
        await probe_store(store, "memory:")
        assert [info async for info in store.list("")] == []

    asyncio.run(main())
