"""The partitions this node leads: their logs are opened, closed and given back here.

Implements `TailSource` and `LogAppender`. Leases are taken elsewhere and handed in; Kafka's requests are the
handlers' business. Whatever ends a session (a fence, a failed WAL, a flush that cannot be carried out) closes all
its logs: those who wait are told NOT_LEADER_OR_FOLLOWER, and never that something holds.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError, Fenced, NotLeader, Refused
from infra.partition import PartitionId, SessionId
from infra.ports import LeadershipListener, SessionGuard, TakenLease, Verification
from infra.records.batch import walk_batches
from infra.store.port import Buffer, ObjectStore
from infra.topic_config import TopicSettings
from infra.view.port import View
from ingest.acks import complete_all
from ingest.admission import Admission
from ingest.appender import ACKS_ALL, Appender, PartitionAppend, WalPort, writable
from ingest.flush import Build, Flusher
from ingest.flush_plan import FlushPolicy
from ingest.observer import IngestObserver
from ingest.partition_log import Appended, PartitionLog
from ingest.publish import Publisher, Repair
from ingest.tail import TailBudget
from ingest.unpublished import Unpublished

_log = logging.getLogger(__name__)

CloseReason = Literal["released", "deleted", "fenced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestLimits:
    """What the write side may hold."""

    tail_bytes: int = 256 << 20  # published batches kept hot
    unpublished_bytes: int = 512 << 20  # batches in memory that the bucket lacks; beyond it producers wait
    producer_expiration_ms: int = 86_400_000  # Kafka's producer.id.expiration.ms
    expire_every_seconds: float = 600.0


class Leaders:
    """All led partitions of one node; for the event loop's thread.

    `on_lost(session, error)` is told once of a session whose leases must all be taken as gone: register anew.
    `repair` mends a view that was lost as a whole.
    """

    def __init__(
        self,
        *,
        wal: WalPort,
        store: ObjectStore,
        view: View,
        build: Build,
        repair: Repair,
        on_lost: Callable[[SessionId, CauceError], None],
        policy: FlushPolicy | None = None,
        limits: IngestLimits | None = None,
        clock: Clock = SYSTEM_CLOCK,
        observer: IngestObserver | None = None,
    ) -> None:
        self._wal = wal
        self._guard: SessionGuard | None = None
        self._limits = limits or IngestLimits()
        self._clock = clock
        self._observer = observer or IngestObserver()
        self._tell_lost = on_lost
        self._lost: set[SessionId] = set()
        self._logs: dict[PartitionId, PartitionLog] = {}
        self._releasing: set[PartitionLog] = set()
        self._listeners: list[LeadershipListener] = []
        self._budget = TailBudget(self._limits.tail_bytes)
        self._unpublished = Unpublished()
        self._expiring: asyncio.Task[None] | None = None
        self.admission = Admission(self._has_room)
        self._flusher = Flusher(
            store=store,
            publisher=Publisher(view, clock, repair),
            build=build,
            policy=policy or FlushPolicy(),
            clock=clock,
            observer=self._observer,
            on_published=self._on_published,
            on_lost=self.lose,
        )
        self.appender = Appender(
            wal=wal,
            unpublished=self._unpublished,
            find_log=self.log,
            on_synced=self._flusher.note,
            on_failed=self.lose,
            observer=self._observer,
            clock=clock,
        )

    def start(self) -> None:
        """Begin to flush. Needs a running loop."""
        self._flusher.start()
        self._expiring = asyncio.create_task(self._expire_producers(), name="producer expiry")

    async def stop(self) -> None:
        """End at once; `release` first whatever is to be given back."""
        if self._expiring is not None:
            self._expiring.cancel()
        await self._flusher.stop()
        for partition in tuple(self._logs):
            self.close(partition, "fenced")

    # Leases

    def begin_session(self, guard: SessionGuard) -> None:
        """The node has registered: leases opened from now on are of this session. Logs of an earlier one are closed."""
        for log in self.logs():
            if log.lease.session != guard.session:
                self.close(log.partition, "fenced")
        self._guard = guard

    def listen(self, listener: LeadershipListener) -> None:
        """Tell of every log opened and closed from now on."""
        self._listeners.append(listener)

    def open(self, taken: TakenLease, settings: TopicSettings) -> PartitionLog:
        """Lead a partition: its lease is taken, everything below `end_offset` is published.

        What an earlier lease had left unpublished was published or made void by taking this one. Raises `Fenced` when
        the lease is of another session than the current one.
        """
        guard = self._guard
        if guard is None or guard.session != taken.lease.session or guard.session in self._lost:
            raise Fenced(f"session {taken.lease.session} is not the one that appends")
        partition = taken.lease.partition
        self.close(partition, "fenced")
        self.forget_left(partition)
        log = PartitionLog(taken, settings, guard, self._budget)
        self._logs[partition] = log
        self._observer.leading(len(self._logs))
        for listener in self._listeners:
            listener.on_lead(log)
        return log

    def close(self, partition: PartitionId, reason: CloseReason) -> None:
        """The lease is gone: nothing is appended or acknowledged from now on. No effect when it is not led."""
        log = self._logs.pop(partition, None)
        if log is not None:
            self._close(log, reason, _error_of(log, reason))

    async def release(self, partition: PartitionId) -> None:
        """Give a lease back: stop appending, flush, publish, close. Answers when all of it is in the bucket.

        The caller then creates the release object. Raises `NotLeader` when the lease is not held, or is lost meanwhile.
        Cancelled half way, the log stays stopped: call again, or close it.
        """
        log = self.log(partition)
        if log not in self._releasing:
            self._releasing.add(log)
            log.stop(NotLeader(f"{partition} is being given back"))
            self._tell_released(log)
        await self._until_published(log)
        if self._logs.get(partition) is log:
            self.close(partition, "released")

    def lose(self, session: SessionId, error: CauceError) -> None:
        """The session is over: close its logs and say so, once."""
        if session in self._lost:
            return
        self._lost.add(session)
        _log.error("session %s is over: %s", session, error)
        reason = error if isinstance(error, Fenced) else Fenced(str(error))
        self._flusher.abandon(session)
        for log in [log for log in self._logs.values() if log.lease.session == session]:
            del self._logs[log.partition]
            self._close(log, "fenced", reason)
        self._tell_lost(session, reason)

    def _close(self, log: PartitionLog, reason: CloseReason, error: CauceError) -> None:
        self._flusher.forget(log)
        self._unpublished.close(log, keep=reason == "fenced" and log.durability == "wal")
        acks = log.close(error)
        if log in self._releasing:
            self._releasing.discard(log)  # told when it began
        else:
            self._tell_released(log)
        self._observer.leading(len(self._logs))
        complete_all(acks, error)
        self.admission.pump()

    def _tell_released(self, log: PartitionLog) -> None:
        for listener in self._listeners:
            listener.on_release(log.partition, log.leader_epoch)

    async def _until_published(self, log: PartitionLog) -> None:
        published: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def complete(error: CauceError | None) -> None:
            if published.done():
                return
            if error is None:
                published.set_result(None)
            else:
                published.set_exception(NotLeader(str(error)))

        if not log.when_published(log.log_end_offset, complete):
            self._flusher.hurry(log)
            await published

    # What an earlier lease left in the WAL

    def unpublished(self, partition: PartitionId) -> list[memoryview]:
        """Batches on this node's disk that a lost lease at durability `wal` had not published, stamped, in order."""
        log = self._unpublished.left(partition)
        return log.unpublished() if log is not None else []

    def hold_wal(self, partition: PartitionId, position: int) -> None:
        """An earlier process left batches of this partition in the WAL from `position` on: do not trim them."""
        self._unpublished.hold(partition, position)

    def forget_left(self, partition: PartitionId) -> None:
        """What an earlier lease left of a partition is published or void: the WAL need not keep it."""
        self._unpublished.forget(partition)

    # Reading and appending

    def log(self, partition: PartitionId) -> PartitionLog:
        """The log of a led partition. Raises `NotLeader`."""
        log = self._logs.get(partition)
        if log is None:
            raise NotLeader(f"this node does not lead {partition}")
        return log

    def logs(self) -> Iterable[PartitionLog]:
        """All that is led."""
        return tuple(self._logs.values())

    @property
    def unpublished_bytes(self) -> int:
        """Memory that what is not yet published holds."""
        return self._unpublished.size

    async def append(
        self,
        partition: PartitionId,
        leader_epoch: int,
        batches: Sequence[Buffer],
        verification: Verification | None = None,
    ) -> int:
        """As `LogAppender.append`; `verification` of the transaction that the batches may begin."""
        views = [writable(batch) for batch in batches]
        checked = [batch for view in views for batch in walk_batches(view)]
        holds: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        result: list[Appended | CauceError] = []

        def complete(error: CauceError | None) -> None:
            if holds.done():
                return
            if error is None:
                holds.set_result(None)
            else:
                holds.set_exception(error)

        one = PartitionAppend(partition, checked, ACKS_ALL, complete, leader_epoch, verification)
        size = sum(len(view) for view in views)
        waiting = self.admission.submit(
            size,
            len(checked),
            lambda: result.extend(self.appender.append([one], self._clock.now_ms())),
            lambda: self.appender.turn_away(one),
        )
        if waiting is not None:
            await waiting
        appended = result[0]
        if isinstance(appended, CauceError):
            raise appended
        await holds
        return appended.base_offset

    # Topics

    def update_settings(self, topic_id: UUID, settings: TopicSettings) -> None:
        """A topic's configs have changed. Durability stays what the epoch record says until the next lease."""
        for log in self._logs.values():
            if log.partition.topic_id == topic_id:
                log.settings = settings

    # Housekeeping

    def _has_room(self, size: int, batches: int) -> bool:
        return self._unpublished.size < self._limits.unpublished_bytes and self._wal.has_room(size, batches)

    def _on_published(self) -> None:
        self._unpublished.settle()
        self._wal.trim(self._unpublished.needed_from(self._wal.end))
        self.admission.pump()

    async def _expire_producers(self) -> None:
        while True:
            await asyncio.sleep(self._limits.expire_every_seconds)
            before_ms = self._clock.now_ms() - self._limits.producer_expiration_ms
            for log in self.logs():
                log.expire_producers(before_ms)


def _error_of(log: PartitionLog, reason: CloseReason) -> CauceError:
    if reason == "deleted":
        return Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"topic {log.topic} is deleted")
    return NotLeader(f"this node leads {log.partition} no more")
