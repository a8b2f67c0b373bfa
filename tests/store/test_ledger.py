"""Ledgers: who may append, and what a reader sees. The contract suite runs them on every store."""

import asyncio
from collections.abc import Sequence

import pytest

from infra.error_code import ErrorCode
from infra.errors import Corrupt, NotFound, Refused
from infra.store.ledger import Ledger, LedgerEntry
from infra.store.memory import MemoryObjectStore
from infra.store.port import Buffer


def test_the_first_number_is_zero_and_many_writers_leave_no_gap() -> None:
    async def main() -> None:
        ledger = Ledger(MemoryObjectStore(), "producer-ids")

        def decide(last: LedgerEntry | None) -> bytes:
            return b"%d" % (last.number + 1 if last else 0)

        made = await asyncio.gather(*(ledger.append_next(decide) for _ in range(40)))
        assert sorted(entry.number for entry in made) == list(range(40))
        assert [entry.body for entry in await ledger.read()] == [b"%d" % number for number in range(40)]

    asyncio.run(main())


class RivalStore(MemoryObjectStore):
    """Another writer is always faster, once."""

    def __init__(self) -> None:
        super().__init__()
        self.rival: bytes | None = None

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        if self.rival is not None:
            rival, self.rival = self.rival, None
            await super().create(key, rival)
        await super().create(key, body)


def test_a_decision_is_made_again_on_what_the_winner_wrote() -> None:
    seen: list[LedgerEntry | None] = []

    def decide(last: LedgerEntry | None) -> bytes:
        seen.append(last)
        if last is not None and last.body == b"taken":
            raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS)
        return b"mine"

    async def main() -> None:
        store = RivalStore()
        ledger = Ledger(store, "topic-names/orders")
        await ledger.append(0, b"released")
        store.rival = b"taken"
        with pytest.raises(Refused):
            await ledger.append_next(decide)
        assert [entry.body for entry in await ledger.read()] == [b"released", b"taken"]

    asyncio.run(main())
    assert seen == [LedgerEntry(0, b"released"), LedgerEntry(1, b"taken")]


def test_a_foreign_object_in_a_ledger_is_corrupt() -> None:
    async def main() -> None:
        store = MemoryObjectStore()
        await store.create("topics/x/readme.txt", b"")
        with pytest.raises(Corrupt, match=r"topics/x/readme\.txt"):
            await Ledger(store, "topics/x").read()

    asyncio.run(main())


def test_an_entry_by_its_number() -> None:
    async def main() -> None:
        ledger = Ledger(MemoryObjectStore(), "x")
        await ledger.append(3, b"three")
        assert await ledger.get(3) == LedgerEntry(3, b"three")
        assert await ledger.numbers() == [3]
        with pytest.raises(NotFound):
            await ledger.get(2)

    asyncio.run(main())
