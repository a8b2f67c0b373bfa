"""A ledger: numbered objects under a prefix, each created once; the order of decisions about one thing.

Numbers start at 0. Whoever wants the next number creates it; the store lets one win, and the others read what was
decided, decide again and try the number after it. What an entry says is its owner's business.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from infra.errors import Exists
from infra.object_key import ledger_key, ledger_number
from infra.store.port import Buffer, ObjectStore

_GETS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One decision."""

    number: int
    body: bytes


class Ledger:
    """Reads and extends one ledger. Keeps nothing: every call asks the store."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        """`prefix` as `infra.object_key` makes it, without a slash at its end."""
        self._store = store
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"Ledger({self._prefix})"

    async def numbers(self, after: int = -1) -> list[int]:
        """Numbers of the entries above `after`, ascending: one LIST."""
        start_after = ledger_key(self._prefix, after) if after >= 0 else ""
        listing = self._store.list(self._prefix + "/", start_after=start_after)
        return [ledger_number(self._prefix, info.key) async for info in listing]

    async def read(self, after: int = -1) -> list[LedgerEntry]:
        """The entries above `after`, ascending: one LIST, then GETs, several at a time."""
        gate = asyncio.Semaphore(_GETS_AT_ONCE)

        async def entry(number: int) -> LedgerEntry:
            async with gate:
                return await self.get(number)

        return list(await asyncio.gather(*(entry(number) for number in await self.numbers(after))))

    async def get(self, number: int) -> LedgerEntry:
        """One entry. Raises `NotFound`."""
        return LedgerEntry(number, await self._store.get(ledger_key(self._prefix, number)))

    async def last(self, after: int = -1) -> LedgerEntry | None:
        """The newest entry, None when there is none above `after`. A known number makes the LIST shorter."""
        numbers = await self.numbers(after)
        return await self.get(numbers[-1]) if numbers else None

    async def append(self, number: int, body: Buffer) -> None:
        """Create the entry of that number. Raises `Exists` when another writer has it."""
        await self._store.create(ledger_key(self._prefix, number), body)

    async def append_next(self, body_for: Callable[[LedgerEntry | None], bytes]) -> LedgerEntry:
        """Decide on the newest entry (None: the ledger is empty) and append; decide again when another was faster.

        What `body_for` raises comes out: that is how a caller gives up after reading the newest entry.
        """
        last = await self.last()
        while True:
            entry = LedgerEntry(last.number + 1 if last else 0, body_for(last))
            try:
                await self.append(entry.number, entry.body)
            except Exists:
                last = await self.last(after=last.number if last else -1)
                continue
            return entry
