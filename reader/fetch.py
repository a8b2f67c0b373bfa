"""Carries out a Fetch: waits until there is enough to answer, reads what is cold.

Knows partitions and bytes, not the wire: the handler turns its answers into a response.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from infra.error_code import ErrorCode
from infra.errors import CauceError, Corrupt, Unavailable
from infra.partition import PartitionId
from infra.ports import TailSource
from infra.records.batch import BatchHeader
from reader.catch_up import CatchUpReader
from reader.faults import code_of
from reader.fetch_pass import ColdRead, Fetched, FetchLimits, FetchPass, PartitionFetch, Refer, refer_nobody
from reader.fetch_plan import TailRead, plan_read

_log = logging.getLogger(__name__)


Stand = Callable[[Iterable[PartitionId]], Awaitable[None]]


async def _stands(partitions: Iterable[PartitionId]) -> None:
    """What is led needs no preparing."""


class Fetcher:
    """Serves fetches of the partitions this node leads or follows.

    A cold read may keep its answer waiting beyond max_wait: `beside_hot_seconds` where a tail has given something,
    `alone_seconds` otherwise. Then the answer leaves without it; what was begun fills the cache for the next fetch.
    """

    def __init__(
        self,
        tails: TailSource,
        catch_up: CatchUpReader,
        *,
        alone_seconds: float = 10.0,
        beside_hot_seconds: float = 0.1,
        stand: Stand = _stands,
    ) -> None:
        """`stand` prepares partitions to be read, as far as it can in bounded time."""
        self._tails = tails
        self._catch_up = catch_up
        self._alone_seconds = alone_seconds
        self._beside_hot_seconds = beside_hot_seconds
        self._stand = stand
        self._last_fault = ""

    async def fetch(
        self, wanted: Sequence[PartitionFetch], limits: FetchLimits, refer: Refer = refer_nobody
    ) -> list[Fetched]:
        """Answers in the order of `wanted`. Waits for min_bytes, at most max_wait_seconds (KIP-74).

        `refer` says what another node should serve; that is told at once.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + limits.max_wait_seconds
        await self._stand(fetch.partition for fetch in wanted if fetch.refused is ErrorCode.NONE)
        found = await self._wait(wanted, limits, deadline, segments=True, refer=refer)
        await self._read_cold(found.cold, any(answer.batches for answer in found.answers), deadline - now())
        if found.cold and now() < deadline and not any(map(_says_something, found.answers)):
            # The store is away. There is no retriable error that says so, and an empty answer at once would make the
            # client ask again at once: wait for what the tails may bring.
            found = await self._wait(wanted, limits, deadline, segments=False, refer=refer)
        return found.answers

    async def _wait(
        self, wanted: Sequence[PartitionFetch], limits: FetchLimits, deadline: float, *, segments: bool, refer: Refer
    ) -> FetchPass:
        """The first look that is complete, or the one at the deadline."""

        def look() -> FetchPass:
            return FetchPass(self._tails, wanted, limits, segments=segments, refer=refer)

        found = look()
        if found.complete or limits.max_wait_seconds <= 0:
            return found
        moved = asyncio.Event()
        unsubscribe: list[Callable[[], None]] = [log.on_advance(moved.set) for log in found.logs]
        try:
            async with asyncio.timeout_at(deadline):
                while not found.complete:
                    await moved.wait()
                    moved.clear()
                    found = look()
        except TimeoutError:
            found = look()
        finally:
            for stop in unsubscribe:
                stop()
        return found

    async def _read_cold(self, cold: Sequence[ColdRead], beside_hot: bool, left_seconds: float) -> None:
        if not cold:
            return
        patience = max(left_seconds, self._beside_hot_seconds if beside_hot else self._alone_seconds)
        reads = [asyncio.create_task(self._read_one(one)) for one in cold]
        try:
            done, _ = await asyncio.wait(reads, timeout=patience)
            for read in done:
                read.result()  # faults of the store are in the answers; what comes up here is a mistake of ours
        finally:
            for read in reads:
                read.cancel()

    async def _read_one(self, cold: ColdRead) -> None:
        ahead_bytes = self._catch_up.worth_ahead(cold.plan)
        try:
            cold.gave(await self._catch_up.read(cold.log, cold.plan))
        except Unavailable as error:
            self._report(f"the store is away from catch-up reads: {error}")
        except CauceError as error:
            self._report(f"{cold.log.partition} cannot be read at offset {cold.plan.offset}: {error}")
            cold.answer.fail(code_of(error))
        else:
            self._read_ahead(cold, ahead_bytes)

    def _read_ahead(self, cold: ColdRead, size: int) -> None:
        plan, batches = cold.plan, cold.answer.batches
        following = BatchHeader.parse(batches[-1]).next_offset if batches else plan.upto
        try:
            ahead = plan_read(cold.log, following, size, plan.upto, at_least_one=True)
        except Corrupt:
            return  # whoever asks for it is told
        if not isinstance(ahead, TailRead):
            self._catch_up.read_ahead(ahead)

    def _report(self, fault: str) -> None:
        """Log a fault; clients ask again and again, so the same one is told once in a row."""
        if fault != self._last_fault:
            self._last_fault = fault
            _log.warning(fault)


def _says_something(answer: Fetched) -> bool:
    told = answer.error is not ErrorCode.NONE or answer.diverging is not None or answer.reader >= 0
    return told or bool(answer.batches)
