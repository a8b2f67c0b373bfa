"""Writes changes to one partition of an internal topic: what waits together goes in one record batch.

Several appends may be under way; they are settled in the order they were sent, so that memory follows the log.
Knows neither groups nor transactional ids: whoever settles applies the changes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from infra.clock import Clock
from infra.errors import CauceError, NotLeader, Unavailable
from infra.partition import Lease
from infra.ports import LogAppender, Verification
from infra.records.encode import encode_batch
from infra.records.record import Record
from ingest.coordinator.offsets import CommitTransaction

log = logging.getLogger(__name__)

Change = TypeVar("Change")

MAX_IN_FLIGHT = 4
"""Appends under way at once: with object durability one takes a flush, and the next should not wait for it."""

MAX_BATCH_BYTES = 256 * 1024
"""Above it waiting writes go in another batch, well below what a batch may be; one large write goes by itself."""


@dataclass(frozen=True, slots=True)
class InTransaction:
    """What a write in a transaction is appended with."""

    transaction: CommitTransaction
    verification: Verification | None  # None: the transaction is open in the partition


@dataclass(slots=True, eq=False)
class _Write(Generic[Change]):
    changes: Sequence[Change]
    records: list[tuple[bytes, bytes | None]]
    size: int
    done: asyncio.Future[None]
    within: InTransaction | None


class RecordLog(Generic[Change]):
    """One coordinator's way into its partition's log."""

    def __init__(
        self,
        appender: LogAppender,
        lease: Lease,
        clock: Clock,
        encode: Callable[[Change], tuple[bytes, bytes | None]],
        settle: Callable[[int, Sequence[Change], CommitTransaction | None], Awaitable[None]],
    ) -> None:
        """`encode` gives key and value of a change's record. `settle(base offset, changes, transaction)` is awaited
        for each batch, one after the other, before its writers go on."""
        self._appender = appender
        self._lease = lease
        self._clock = clock
        self._encode = encode
        self._settle = settle
        self._waiting: list[_Write[Change]] = []
        self._in_flight: set[asyncio.Task[None]] = set()
        self._last: asyncio.Task[None] | None = None
        self._closed = False

    async def write(self, changes: Sequence[Change], within: InTransaction | None = None) -> None:
        """Return once the changes are below the high watermark and settled; those in a transaction are in a batch of
        their own.

        Raises `NotLeader`, `Fenced`, `Refused` (a batch too large, or for its transaction), or `Unavailable` (outcome
        unknown).
        """
        if self._closed:
            raise NotLeader("this coordinator has moved")
        records = [self._encode(change) for change in changes]
        size = sum(len(key) + len(value or b"") for key, value in records)
        loop = asyncio.get_running_loop()
        write = _Write(changes, records, size, loop.create_future(), within)
        self._waiting.append(write)
        if len(self._waiting) == 1:
            loop.call_soon(self._send)  # whatever else this round of the loop brings goes along
        await write.done

    def close(self) -> None:
        """The lease is gone: whoever waits is told so."""
        self._closed = True
        for task in self._in_flight:
            task.cancel()
        self._fail(self._take(None), NotLeader("this coordinator has moved"))

    async def ended(self) -> None:
        """Closed, wait until what was being appended is in the log or never will be, as far as can be known."""
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    def _send(self) -> None:
        while self._waiting and len(self._in_flight) < MAX_IN_FLIGHT and not self._closed:
            task = asyncio.create_task(self._append(self._take(MAX_BATCH_BYTES), self._last))
            self._in_flight.add(task)
            self._last = task

    def _take(self, max_bytes: int | None) -> list[_Write[Change]]:
        taken = total = 0
        for write in self._waiting:
            total += write.size
            alone = write.within is not None or self._waiting[0].within is not None
            if max_bytes is not None and taken and (alone or total > max_bytes):
                break
            taken += 1
        writes, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return writes

    async def _append(self, writes: list[_Write[Change]], previous: asyncio.Task[None] | None) -> None:
        task = asyncio.current_task()
        try:
            await self._append_and_settle(writes, previous)
        except asyncio.CancelledError:
            self._fail(writes, NotLeader("this coordinator has moved"))
            raise
        except CauceError as error:
            self._fail(writes, error)
        except Exception as error:  # a fault of ours must not leave requests without an answer
            log.exception("a write to %s failed", self._lease.partition)
            self._fail(writes, Unavailable(f"a write to {self._lease.partition} failed: {error!r}"))
        finally:
            if task is not None:
                self._in_flight.discard(task)
            if self._last is task:
                self._last = None
            self._send()

    async def _append_and_settle(self, writes: list[_Write[Change]], previous: asyncio.Task[None] | None) -> None:
        within = writes[0].within
        try:
            base = await self._append_batch([record for write in writes for record in write.records], within)
        finally:
            if previous is not None:
                await asyncio.wait([previous])
        transaction = None if within is None else within.transaction
        await self._settle(base, [change for write in writes for change in write.changes], transaction)
        for write in writes:
            if not write.done.done():
                write.done.set_result(None)

    async def _append_batch(self, pairs: Sequence[tuple[bytes, bytes | None]], within: InTransaction | None) -> int:
        partition, leader_epoch = self._lease.partition, self._lease.leader_epoch
        now_ms = self._clock.now_ms()
        records = [Record(offset, now_ms, key, value) for offset, (key, value) in enumerate(pairs)]
        if within is None:
            return await self._appender.append(partition, leader_epoch, [encode_batch(records)])
        batch = encode_batch(
            records,
            producer_id=within.transaction.producer_id,
            producer_epoch=within.transaction.producer_epoch,
            transactional=True,
        )
        return await self._appender.append(partition, leader_epoch, [batch], within.verification)

    def _fail(self, writes: Sequence[_Write[Change]], error: CauceError) -> None:
        for write in writes:
            if not write.done.done():
                write.done.set_exception(error)
