"""Appends to led partitions: assigns offsets, hands the bytes to the WAL, and acknowledges when they are durable.

All of one call happens at once, so whoever calls in order appends in order. At durability `wal`, and for acks=1, an
acknowledgement leaves only while the session's TTL holds at that very moment (the TTL rule); so does the refusal of a
producer's sequence or epoch, which clients take for final.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from infra.clock import Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError, Fenced, NotLeader, Refused, Unavailable
from infra.partition import PartitionId, SessionId
from infra.ports import Verification
from infra.store.port import Buffer
from ingest.acks import Complete, complete_all
from ingest.observer import IngestObserver
from ingest.partition_log import Appended, Batch, PartitionLog
from ingest.turned_away import TurnedAway
from ingest.unpublished import Unpublished
from ingest.wal.frame import WalEntry

_log = logging.getLogger(__name__)

ACKS_NONE, ACKS_LEADER, ACKS_ALL = 0, 1, -1


class WalPort(Protocol):
    """What is needed of `ingest.wal.writer.Wal`; positions are bytes of the whole WAL."""

    @property
    def end(self) -> int: ...
    def has_room(self, size: int, batches: int = 1) -> bool: ...
    def append(self, entries: Sequence[WalEntry], done: Callable[[BaseException | None], None]) -> int: ...
    def trim(self, position: int) -> None: ...


@dataclass(frozen=True, slots=True)
class PartitionAppend:
    """Checked batches for one partition. `complete` is called once, when `acks` (1 or -1) holds or never will."""

    partition: PartitionId
    batches: Sequence[Batch]
    acks: int
    complete: Complete
    leader_epoch: int | None = None  # refuse when the log is at another one
    verification: Verification | None = None  # of the transaction that they may begin


class Appender:
    """`find_log` raises `NotLeader`; `on_synced` is told which log the WAL has more of; `on_failed` ends a session."""

    def __init__(
        self,
        *,
        wal: WalPort,
        unpublished: Unpublished,
        find_log: Callable[[PartitionId], PartitionLog],
        on_synced: Callable[[PartitionLog], None],
        on_failed: Callable[[SessionId, CauceError], None],
        observer: IngestObserver,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._turned_away = TurnedAway()
        self._wal = wal
        self._unpublished = unpublished
        self._find_log = find_log
        self._on_synced = on_synced
        self._on_failed = on_failed
        self._observer = observer

    def append(self, appends: Sequence[PartitionAppend], now_ms: int) -> list[Appended | CauceError]:
        """Append to several partitions with one write; answers for each where it lies, or why it does not.

        A partition that is refused changes nothing. `complete` is called only for those that were appended (or were
        there before), perhaps before this returns; never with acks=0.
        """
        entries: list[WalEntry] = []
        synced: list[tuple[PartitionLog, int]] = []
        results: list[Appended | CauceError] = []
        for one in appends:
            try:
                appended, log = self._append_one(one, now_ms)
            except CauceError as error:
                results.append(error)
                continue
            results.append(appended)
            if appended.entries:
                entries.extend(appended.entries)
                synced.append((log, appended.next_offset))
                self._note(log, one)
            self._wait(log, one, appended.next_offset)
        if entries:
            self._write(entries, synced)
        return results

    def turn_away(self, one: PartitionAppend) -> None:
        """These are refused for now: nothing of their producers may go before they are sent again."""
        self._turned_away.note(one.partition, (header for header, _ in one.batches), self._clock.monotonic())

    def must_wait(self, one: PartitionAppend) -> bool:
        """Whether these come behind a batch that was turned away: as long as it has not come, they will be too. Raises
        `NotLeader`."""
        try:
            self._check_unknown(self._find_log(one.partition), one)
        except Unavailable:
            return True
        return False

    def _append_one(self, one: PartitionAppend, now_ms: int) -> tuple[Appended, PartitionLog]:
        try:
            log = self._log_for(one)
            return self._append_to(log, one, now_ms), log
        except Refused:
            raise
        except CauceError:
            self.turn_away(one)
            raise

    def _append_to(self, log: PartitionLog, one: PartitionAppend, now_ms: int) -> Appended:
        self._check_unknown(log, one)
        try:
            appended = log.append(one.batches, now_ms, self._wal.end, one.verification)
        except Refused as refusal:
            log.check_ttl()  # a leader of the past does not know what its producers have sent since
            if refusal.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER:
                headers = (header for header, _ in one.batches)
                self._turned_away.check(one.partition, headers, self._clock.monotonic())
            _log.info("%s: %s", one.partition, refusal)
            raise
        self._turned_away.came(one.partition, (header for header, _ in one.batches))
        return appended

    def _check_unknown(self, log: PartitionLog, one: PartitionAppend) -> None:
        """Raise `Unavailable` when a producer that the log does not know would go before what it has to send again."""
        unknown = (header for header, _ in one.batches if not log.knows(header.producer_id))
        self._turned_away.check(one.partition, unknown, self._clock.monotonic())

    def _log_for(self, one: PartitionAppend) -> PartitionLog:
        log = self._find_log(one.partition)
        if one.leader_epoch is not None and one.leader_epoch != log.leader_epoch:
            raise NotLeader(f"{one.partition} is at leader epoch {log.leader_epoch}, not {one.leader_epoch}")
        if log.durability == "wal" or one.acks == ACKS_LEADER:
            log.check_ttl()  # it would not be acknowledged, and the retry would be a second copy
        return log

    def _note(self, log: PartitionLog, one: PartitionAppend) -> None:
        self._unpublished.note(log)
        headers = [header for header, _ in one.batches]
        records = sum(header.record_count for header in headers)
        self._observer.appended(log.topic, records, sum(header.size for header in headers))

    def _wait(self, log: PartitionLog, one: PartitionAppend, upto: int) -> None:
        if one.acks == ACKS_NONE:
            return
        wait = log.when_high_watermark if one.acks == ACKS_ALL else log.when_synced
        if wait(upto, one.complete):
            by_wal = log.durability == "wal" or one.acks == ACKS_LEADER
            one.complete(_ttl_error(log) if by_wal else None)

    def _write(self, entries: Sequence[WalEntry], synced: Sequence[tuple[PartitionLog, int]]) -> None:
        try:
            self._wal.append(entries, partial(self._written, synced))
        except Exception as error:  # noqa: BLE001  offsets are given: going on would count these batches as durable
            self._fail(synced, error)

    def _written(self, synced: Sequence[tuple[PartitionLog, int]], failure: BaseException | None) -> None:
        if failure is not None:
            self._fail(synced, failure)
            return
        for log, upto in synced:
            complete_all(log.on_synced(upto), _ttl_error(log))
            if not log.closed:
                self._on_synced(log)

    def _fail(self, synced: Sequence[tuple[PartitionLog, int]], failure: BaseException) -> None:
        for session in {log.lease.session for log, _ in synced}:
            self._on_failed(session, Fenced(f"the WAL failed: {failure}"))


def writable(batch: Buffer) -> memoryview:
    """The same bytes where they can be stamped; copied only when they lie in memory that must not change."""
    view = memoryview(batch)
    return memoryview(bytearray(view)) if view.readonly else view


def _ttl_error(log: PartitionLog) -> CauceError | None:
    try:
        log.check_ttl()
    except CauceError as error:
        return error
    return None
