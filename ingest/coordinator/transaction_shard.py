"""A transaction coordinator's share: the transactional ids of one `__transaction_state` partition, while this node
leads it.

Loads them, writes what they have decided, and once a decision is durable sees to its markers and then says that the
transaction is complete; so it does with what an earlier coordinator had decided. What requests mean stands in
transaction_coordinator.py. Where a write's outcome is unknown nothing is answered from memory any more: the partition
is loaded anew, from the log.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.clock import Clock
from infra.errors import CauceError, Refused
from infra.partition import Lease, SessionId
from infra.ports import LogAppender, LogReader
from ingest.coordinator.duty import RETRY_SECONDS, check_coordinates
from ingest.coordinator.marker_sender import Ending, MarkerSender
from ingest.coordinator.offsets import CommitTransaction
from ingest.coordinator.ports import LogSource
from ingest.coordinator.record_log import RecordLog
from ingest.coordinator.transaction import NO_EPOCH, Transaction
from ingest.coordinator.transaction_loading import load_transactions
from ingest.coordinator.transaction_records import TransactionChange, encode_change
from ingest.coordinator.transaction_state import TransactionState
from ingest.coordinator.transactions import TransactionLimits, Transactions
from ingest.observer import IngestObserver

log = logging.getLogger(__name__)

FORGOTTEN_AT_ONCE = 500
"""Tombstones in one record batch, which must not grow beyond what a batch may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionParts:
    """What all shards of a node share."""

    appender: LogAppender
    source: LogSource
    markers: MarkerSender
    clock: Clock
    limits: TransactionLimits
    observer: IngestObserver = field(default_factory=IngestObserver)


class TransactionShard:
    """One partition's transactional ids, for one lease."""

    def __init__(self, reader: LogReader, session: SessionId, parts: TransactionParts) -> None:
        self.reader = reader
        self.lease = Lease(reader.partition, session, reader.leader_epoch)
        self.transactions = Transactions()
        self.loaded = asyncio.Event()
        self._parts = parts
        self._closed = False
        self._log = self._new_log()
        self._loading: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._finishing: set[asyncio.Task[Any]] = set()

    # lifecycle

    def start(self) -> None:
        """Begin to load; requests are told so meanwhile."""
        self._load_anew()

    def stop(self) -> None:
        """The lease is gone: answer nothing more for it, and send no more markers."""
        self._closed = True
        self._log.close()
        for task in (*self._tasks, *self._finishing):
            task.cancel()

    async def stopped(self) -> None:
        """Wait for what `stop` has cancelled."""
        await asyncio.gather(*self._tasks, *self._finishing, return_exceptions=True)

    def check(self) -> None:
        """Raise `Refused`(NOT_COORDINATOR) when this node may not answer for the partition (the TTL rule)."""
        check_coordinates(self.reader, self._closed)

    def _new_log(self) -> RecordLog[TransactionChange]:
        return RecordLog(self._parts.appender, self.lease, self._parts.clock, encode_change, _settled)

    def _load_anew(self) -> None:
        """Forget what is in memory; the log counts."""
        if self._closed or (self._loading is not None and not self._loading.done()):
            return
        self.loaded.clear()
        for task in self._finishing:
            task.cancel()
        self._loading = self._spawn(self._load(), self._tasks)

    async def _load(self) -> None:
        # What was being written must have its place in the log, or none, before the log is read.
        self._log.close()
        await self._log.ended()
        while True:
            try:
                transactions = await load_transactions(self._parts.source, self.reader)
                break
            except CauceError as error:
                if self._closed or self.reader.closed:
                    return
                log.warning("transactions of %s cannot be loaded yet: %s", self.reader.partition, error.message)
                await asyncio.sleep(RETRY_SECONDS)
        self.transactions = transactions
        self._log = self._new_log()
        self.loaded.set()
        level = logging.INFO if len(transactions) else logging.DEBUG
        log.log(level, "loaded %d transactional ids of %s", len(transactions), self.reader.partition)
        for transaction in transactions.prepared():
            self._finish(transaction)

    def _spawn(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[Any]]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, CauceError):
            log.info("a write to %s failed: %s", self.reader.partition, error.message)
        elif error is not None:
            log.error("a transaction of %s is stuck", self.reader.partition, exc_info=error)

    # the log

    async def write(self, transaction: Transaction) -> None:
        """Write what is pending of a transaction; goes on when its caller is cancelled.

        Raises `NotLeader`, `Fenced` and `Unavailable` (outcome unknown), `Refused` (it was not written).
        """
        await asyncio.shield(self._spawn(self._write(transaction), self._tasks))

    async def _write(self, transaction: Transaction) -> None:
        written = self._log
        try:
            await written.write([TransactionChange(transaction.transactional_id, transaction.pending)])
        except Refused:
            transaction.failed()
            if transaction.record.epoch == NO_EPOCH:
                self.transactions.forget(transaction)
            raise
        except CauceError:
            if written is self._log:
                self._load_anew()
            raise
        transaction.stored()
        state = transaction.record.state
        if state.prepared:
            self._parts.observer.decided(state is TransactionState.PREPARE_COMMIT)
            if written is self._log:
                self._finish(transaction)

    # markers

    def _finish(self, transaction: Transaction) -> None:
        """A decision is durable: bring it to every partition, then say so."""
        if not self._closed and self.loaded.is_set():
            self._spawn(self._mark_and_complete(transaction), self._finishing)

    async def _mark_and_complete(self, transaction: Transaction) -> None:
        record = transaction.record
        commit = record.state is TransactionState.PREPARE_COMMIT
        ending = Ending(record.producer, self.lease.leader_epoch, commit)
        await self._parts.markers.send(ending, transaction.unmarked, transaction.marked)
        transaction.complete(self._parts.clock.now_ms())
        await self.write(transaction)

    # what happens by itself

    async def abort_late(self) -> None:
        """Abort the transactions that take too long. Raises `Refused`(NOT_COORDINATOR) outside of the session's TTL."""
        self.check()
        late = self.transactions.timed_out(self._parts.clock.now_ms()) if self.loaded.is_set() else []
        for transaction in late:
            log.info("transaction of %r takes too long and is aborted", transaction.transactional_id)
            transaction.abort(self._parts.clock.now_ms())
        written = await asyncio.gather(*(self.write(transaction) for transaction in late), return_exceptions=True)
        for outcome in written:
            if outcome is None:
                self._parts.observer.timed_out()

    async def expire(self) -> None:
        """Forget ids that nobody has used for long. Raises as `abort_late`, and as `write` less what it was."""
        while gone := self._expired():
            await asyncio.shield(self._spawn(self._forget(gone), self._tasks))

    def _expired(self) -> list[Transaction]:
        self.check()
        if not self.loaded.is_set():
            return []
        now_ms, expiration_ms = self._parts.clock.now_ms(), self._parts.limits.id_expiration_ms
        return self.transactions.expired(now_ms, expiration_ms)[:FORGOTTEN_AT_ONCE]

    async def _forget(self, gone: Sequence[Transaction]) -> None:
        written = self._log
        for transaction in gone:
            transaction.expiring = True
        try:
            await written.write([TransactionChange(one.transactional_id, None) for one in gone])
        except Refused:
            for transaction in gone:
                transaction.expiring = False
            raise
        except CauceError:
            if written is self._log:
                self._load_anew()
            raise
        for transaction in gone:
            self.transactions.forget(transaction)


async def _settled(base_offset: int, changes: Sequence[TransactionChange], within: CommitTransaction | None) -> None:
    """Each write sees to its own transaction."""
