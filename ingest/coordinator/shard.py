"""A coordinator's share: the groups of one `__consumer_offsets` partition, while this node leads it.

Loads them, carries out what groups decide (answers, writes, wake-ups), and applies what the log has taken to the
offsets in memory and to the view. What requests mean stands in coordinator.py. Memory follows the log: an offset is
set when its record is below the high watermark, in the order of the log.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

from infra.clock import Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError, Fenced, NotLeader, Refused
from infra.partition import Lease, SessionId, TopicPartition
from infra.ports import LogAppender, LogReader
from infra.records.control import Marker
from infra.store.port import Buffer
from infra.view.port import OffsetChanges
from ingest.coordinator.duty import RETRY_SECONDS, check_coordinates
from ingest.coordinator.group import ConsumerGroup
from ingest.coordinator.group_effects import AnswerJoin, AnswerSync, Effect, GroupLimits, StoreGroup
from ingest.coordinator.group_state import GroupState
from ingest.coordinator.loading import Loaded, load
from ingest.coordinator.offset_records import (
    Change,
    GroupChange,
    OffsetChange,
    decode_group,
    encode_change,
    encode_group,
)
from ingest.coordinator.offsets import CommitTransaction, GroupOffsets, OffsetLimits
from ingest.coordinator.ports import LogSource, OffsetsView
from ingest.coordinator.record_log import InTransaction, RecordLog
from ingest.coordinator.replay import Replay
from ingest.coordinator.view_feed import ViewFeed
from ingest.coordinator.wakeups import WakeUps

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardParts:
    """What all shards of a node share."""

    appender: LogAppender
    source: LogSource
    view: OffsetsView
    clock: Clock
    limits: GroupLimits
    offset_limits: OffsetLimits
    view_interval_seconds: float = 1.0


@dataclass(slots=True, eq=False)
class GroupEntry:
    """A group with its offsets, and its metadata as the log has it."""

    group: ConsumerGroup
    offsets: GroupOffsets
    stored: bytes | None = None
    woken_at_ms: int | None = None  # earliest wake-up that is set


class GroupShard:
    """One partition's groups, for one lease."""

    def __init__(self, reader: LogReader, session: SessionId, parts: ShardParts) -> None:
        self.reader = reader
        self.lease = Lease(reader.partition, session, reader.leader_epoch)
        self.entries: dict[str, GroupEntry] = {}
        self.loaded = asyncio.Event()
        self._parts = parts
        self._closed = False
        self._next_offset = 0  # memory follows the log up to here
        self._replay = Replay()  # the transactions that are open there
        self._following = asyncio.Lock()
        self._log = RecordLog[Change](parts.appender, self.lease, parts.clock, encode_change, self._settle)
        self._feed = ViewFeed(parts.view, self.lease, parts.view_interval_seconds, self._stable_upto, self._everything)
        self._wakeups = WakeUps(parts.clock, self._on_wake)
        self._tasks: set[asyncio.Task[None]] = set()

    # lifecycle

    def start(self) -> None:
        """Begin to load; requests are told so meanwhile."""
        self._spawn(self._load())

    def stop(self) -> None:
        """The lease is gone: answer nothing more for it, and whatever is parked with NOT_COORDINATOR."""
        self._closed = True
        self._wakeups.close()
        for entry in self.entries.values():
            if entry.group.state is not GroupState.DEAD:
                self._answer(entry.group.kill(ErrorCode.NOT_COORDINATOR))
        self._log.close()
        for task in self._tasks:
            task.cancel()

    async def stopped(self) -> None:
        """Wait for what `stop` has cancelled."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise `Refused`(NOT_COORDINATOR) when this node may not answer for the partition (the TTL rule)."""
        check_coordinates(self.reader, self._closed)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load(self) -> None:
        while True:
            try:
                loaded = await load(self._parts.view, self._parts.source, self.reader)
                break
            except (NotLeader, Fenced):
                return
            except CauceError as error:
                log.warning("groups of %s cannot be loaded yet: %s", self.reader.partition, error.message)
                await asyncio.sleep(RETRY_SECONDS)
        self._install(loaded)
        self.loaded.set()
        await self._feed.run()

    def _install(self, loaded: Loaded) -> None:
        for group_id, value in loaded.groups.items():
            self._restore(group_id, value)
        for (group_id, topic, partition), row in loaded.offsets.items():
            self.entry_or_new(group_id).offsets.put((topic, partition), row)
        self._replay = loaded.replay
        for group_id in self._replay.pending_groups:
            self.entry_or_new(group_id)
        self._next_offset = loaded.upto
        self._feed.begin(loaded.view_upto)
        self._feed.add(loaded.replayed, loaded.upto)
        level = logging.INFO if self.entries else logging.DEBUG
        log.log(level, "loaded %d groups of %s", len(self.entries), self.reader.partition)

    def _restore(self, group_id: str, value: bytes) -> None:
        try:
            snapshot = decode_group(value)
        except CauceError as error:
            log.warning("group %r is passed over, its metadata cannot be read: %s", group_id, error.message)
            return
        group, effects = ConsumerGroup.restore(group_id, snapshot, self._parts.limits, self._wakeups.now_ms())
        entry = self.entries[group_id] = GroupEntry(group, self._offsets_of(group_id), stored=value)
        self.carry_out(entry, effects)

    # groups

    def now_ms(self) -> int:
        """The clock of groups, which never goes back."""
        return self._wakeups.now_ms()

    def entry_or_new(self, group_id: str) -> GroupEntry:
        """The entry of a group, an empty one when there is none."""
        entry = self.entries.get(group_id)
        if entry is None:
            group = ConsumerGroup(group_id, self._parts.limits)
            entry = self.entries[group_id] = GroupEntry(group, self._offsets_of(group_id))
        return entry

    def _offsets_of(self, group_id: str) -> GroupOffsets:
        return GroupOffsets(partial(self.pending, group_id))

    def pending(self, group_id: str) -> Set[TopicPartition]:
        """What open transactions commit of a group."""
        return self._replay.pending(group_id)

    def carry_out(self, entry: GroupEntry, effects: Sequence[Effect]) -> None:
        """Do what a group has decided; to be called after each call to it."""
        group = entry.group
        if group.state_since_ms < 0 and group.generation > 0:
            group.state_since_ms = self._parts.clock.now_ms()
        self._answer(effects)
        if self._closed:
            return
        for effect in effects:
            if isinstance(effect, StoreGroup):
                self._spawn(self._store(entry, effect))
        wake_at_ms = group.wake_at_ms
        if wake_at_ms is not None and (entry.woken_at_ms is None or wake_at_ms < entry.woken_at_ms):
            entry.woken_at_ms = wake_at_ms
            self._wakeups.at(wake_at_ms, group.group_id)
        self._drop_trivial(entry)

    def _answer(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, AnswerJoin | AnswerSync):
                ticket = effect.ticket
                if isinstance(ticket, asyncio.Future) and not ticket.done():
                    ticket.set_result(effect.answer)

    def _drop_trivial(self, entry: GroupEntry) -> None:
        """Forget a group that never was: nobody joined, nothing is committed, the log knows nothing of it."""
        group = entry.group
        known = entry.stored is not None or group.generation > 0 or entry.offsets.names()
        if group.idle and not known and self.entries.get(group.group_id) is entry:
            del self.entries[group.group_id]

    def _on_wake(self, group_id: str) -> None:
        entry = self.entries.get(group_id)
        if entry is None or self._closed:
            return
        entry.woken_at_ms = None
        wake_at_ms = entry.group.wake_at_ms
        now_ms = self.now_ms()
        due = wake_at_ms is not None and wake_at_ms <= now_ms and entry.group.state is not GroupState.DEAD
        self.carry_out(entry, entry.group.on_time(now_ms) if due else ())

    async def _store(self, entry: GroupEntry, store: StoreGroup) -> None:
        group = entry.group
        snapshot = replace(store.snapshot, state_since_ms=group.state_since_ms)
        error = ErrorCode.NONE
        try:
            await self.write([GroupChange(group.group_id, encode_group(snapshot))])
        except CauceError as failure:
            error = answer_code(failure)
            log.warning("group %r could not be stored: %s", group.group_id, failure.message)
        self.carry_out(entry, group.stored(store.store_id, error, self.now_ms()))

    # the log

    async def write(self, changes: Sequence[Change], within: InTransaction | None = None) -> None:
        """Append changes, and return once they are durable and in memory; those in a transaction are pending until its
        end. Raises as `RecordLog.write`."""
        await self._log.write(changes, within)

    async def on_marker(self, marker: Marker, offset: int) -> None:
        """A transaction's end lies in the log, below the high watermark: what it committed counts, once loaded."""
        if self.loaded.is_set():
            await self._follow_marker(marker, offset)
        else:
            self._spawn(self._follow_marker(marker, offset))

    async def _follow_marker(self, marker: Marker, offset: int) -> None:
        await self.loaded.wait()
        async with self._following:
            if offset < self._next_offset or self._closed:
                return
            if offset > self._next_offset:
                await self._read_back(offset)
            groups = self._replay.pending_groups
            self._apply(self._replay.end(marker.producer_id, marker.commit), offset + 1)
            for group_id in groups:
                if group_id in self.entries:
                    self._drop_trivial(self.entries[group_id])

    async def remove(self, entry: GroupEntry) -> None:
        """Delete an idle group with all its offsets. Raises as `write`; the group is then as it was."""
        group_id = entry.group.group_id
        restored = entry.group.snapshot()
        entry.group.kill(ErrorCode.COORDINATOR_NOT_AVAILABLE)  # nobody joins while the log is told
        changes: list[Change] = [OffsetChange(group_id, *name, None) for name in sorted(entry.offsets.names())]
        if entry.stored is not None or entry.group.generation > 0:
            changes.append(GroupChange(group_id, None))
        try:
            if changes:
                await self.write(changes)
        except CauceError:
            entry.group, _ = ConsumerGroup.restore(group_id, restored, self._parts.limits, self.now_ms())
            raise
        if self.entries.get(group_id) is entry:
            del self.entries[group_id]

    async def remove_offsets(self, entry: GroupEntry, names: Iterable[TopicPartition]) -> None:
        """Delete some offsets of a group. Raises as `write`."""
        changes = [OffsetChange(entry.group.group_id, *name, None) for name in names]
        if changes:
            await self.write(changes)
            self._drop_trivial(entry)

    async def _settle(self, base_offset: int, changes: Sequence[Change], transaction: CommitTransaction | None) -> None:
        end = base_offset + len(changes)
        async with self._following:
            if end <= self._next_offset:
                return  # read back already, with what came after it
            if base_offset > self._next_offset:
                await self._read_back(base_offset)
            placed = list(enumerate(changes, base_offset))
            self._apply(self._replay.take(placed, None if transaction is None else transaction.producer_id), end)

    async def _read_back(self, upto: int) -> None:
        """Something is in the log that no answer told of (an append whose outcome was unknown): take it in."""
        while True:
            found: list[Buffer] = []
            try:
                async for batches in self._parts.source.read_log(self.reader.partition, self._next_offset, upto):
                    found += batches
                break
            except (NotLeader, Fenced):
                raise
            except CauceError as error:
                log.warning("offsets of %s have to wait: %s", self.reader.partition, error.message)
                await asyncio.sleep(RETRY_SECONDS)
        self._apply([change for batch in found for change in self._replay.feed(batch)], upto)

    def _apply(self, changes: Sequence[Change], upto: int) -> None:
        """The log goes on up to an offset (exclusive), with these changes."""
        for change in changes:
            if isinstance(change, OffsetChange):
                if change.row is not None or change.group in self.entries:
                    self.entry_or_new(change.group).offsets.put((change.topic, change.partition), change.row)
            elif change.group in self.entries:
                self.entries[change.group].stored = change.value
        for group_id in self._replay.pending_groups:
            self.entry_or_new(group_id)
        self._next_offset = upto
        self._feed.add(changes, upto)

    # the view

    def _stable_upto(self) -> int:
        return self._replay.stable_below(self._next_offset)

    def _everything(self) -> OffsetChanges:
        return OffsetChanges(
            self._next_offset,
            {
                (group_id, *name): row
                for group_id, entry in self.entries.items()
                for name, row in entry.offsets.rows.items()
            },
            {group_id: entry.stored for group_id, entry in self.entries.items() if entry.stored is not None},
        )


def answer_code(error: CauceError) -> ErrorCode:
    """What a group's client is told of an error of ours: go elsewhere, try again, or what was refused."""
    if isinstance(error, NotLeader | Fenced):
        return ErrorCode.NOT_COORDINATOR
    if isinstance(error, Refused):
        return ErrorCode.UNKNOWN_SERVER_ERROR if error.code is ErrorCode.MESSAGE_TOO_LARGE else error.code
    return ErrorCode.COORDINATOR_NOT_AVAILABLE
