"""Producer ids: taken from the bucket in blocks of a thousand, so that no two producers ever get the same one."""

import asyncio
import contextlib
from collections.abc import Callable

from infra.cluster.records import ProducerIdBlock
from infra.errors import Exists
from infra.object_key import producer_id_ledger
from infra.partition import SessionId
from infra.store.ledger import Ledger
from infra.store.port import ObjectStore

IDS_OF_BLOCK = 1000


NOBODY = SessionId(-1, -1)
"""Whom a block is noted for that nobody may give ids out of."""


async def pass_over(store: ObjectStore, highest: int) -> bool:
    """Never give out a producer id up to `highest`, which the log knows; True when that needed a record.

    A copy of a bucket may lack the newest blocks. A producer that got an id for a second time would have its records
    taken for those of the first one.
    """
    ledger = Ledger(store, producer_id_ledger())
    block = highest // IDS_OF_BLOCK
    if await ledger.numbers(after=block - 1):
        return False
    with contextlib.suppress(Exists):
        await ledger.append(block, ProducerIdBlock(NOBODY).encode())
    return True


class ProducerIds:
    """Gives out producer ids; those left over when a node ends are never used."""

    def __init__(self, store: ObjectStore, session: Callable[[], SessionId]) -> None:
        """`session` tells the node's session at the time, which a block is noted for."""
        self._ledger = Ledger(store, producer_id_ledger())
        self._session = session
        self._next = 0
        self._end = 0  # exclusive
        self._lock = asyncio.Lock()

    async def next(self) -> int:
        """A producer id that nobody else has. Raises `Unavailable`."""
        async with self._lock:
            if self._next == self._end:
                body = ProducerIdBlock(self._session()).encode()
                block = (await self._ledger.append_next(lambda _: body)).number
                self._next, self._end = block * IDS_OF_BLOCK, (block + 1) * IDS_OF_BLOCK
            taken = self._next
            self._next += 1
            return taken
