"""The group coordinator of a node: which groups are its own, and what each request about them comes to.

Kafka's classic group protocol above the shards, one for each partition of `__consumer_offsets` that this node leads.
Errors of a whole request are raised as `Refused` with the code that the client is told; handlers put them where their
version has a place for them. Knows no wire messages.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.partition import PartitionId, TopicPartition
from infra.ports import LogAppender, LogReader, SessionGuard, TopicDirectory, Verification
from infra.records.control import Marker
from infra.view.port import OffsetRow
from ingest.coordinator.group import ConsumerGroup
from ingest.coordinator.group_effects import (
    GroupLimits,
    JoinAnswer,
    JoinRequest,
    MemberSnapshot,
    SyncAnswer,
    SyncRequest,
)
from ingest.coordinator.group_state import GroupState
from ingest.coordinator.offset_records import OffsetChange
from ingest.coordinator.offsets import CommitTransaction, OffsetCommit, OffsetLimits
from ingest.coordinator.placement import partition_of_key
from ingest.coordinator.ports import LogSource, OffsetsView
from ingest.coordinator.record_log import InTransaction
from ingest.coordinator.shard import GroupEntry, GroupShard, ShardParts, answer_code
from ingest.coordinator.subscription import CONSUMER_PROTOCOL_TYPE
from ingest.verification import Beginning, NoTransactions, TransactionalLog, Unverified, Verifier, without_sequence

log = logging.getLogger(__name__)

OFFSETS_TOPIC = "__consumer_offsets"
CLASSIC = "classic"  # the one group type there is
_LATEST_MS = 2**63 - 1  # of a timestamp; a client may ask for a retention beyond it
_VERIFY_SECONDS = 10.0  # how long a transaction's coordinator may take to know it
_AS_COMMITTERS_KNOW_IT = {  # of what a transaction's coordinator says; the others as they are
    ErrorCode.NETWORK_EXCEPTION: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,  # retried without a look for the coordinator
    ErrorCode.NOT_COORDINATOR: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,  # it is not of this coordinator
    ErrorCode.PRODUCER_FENCED: ErrorCode.INVALID_PRODUCER_EPOCH,
    ErrorCode.TRANSACTION_ABORTABLE: ErrorCode.INVALID_TXN_STATE,
}


@dataclass(frozen=True, slots=True)
class GroupListing:
    """A group as ListGroups shows it."""

    group_id: str
    protocol_type: str
    state: str
    group_type: str = CLASSIC


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A group as DescribeGroups shows it; members carry metadata and assignment only while it is stable."""

    group_id: str
    state: str
    protocol_type: str = ""
    protocol: str = ""
    members: tuple[MemberSnapshot, ...] = ()


class GroupCoordinator:
    """Every group whose `__consumer_offsets` partition this node leads. A `LeadershipListener`."""

    def __init__(
        self,
        *,
        directory: TopicDirectory,
        appender: LogAppender,
        source: LogSource,
        view: OffsetsView,
        guard: SessionGuard,
        clock: Clock = SYSTEM_CLOCK,
        limits: GroupLimits | None = None,
        offset_limits: OffsetLimits | None = None,
        view_interval_seconds: float = 1.0,
        find_log: Callable[[PartitionId], TransactionalLog] | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """`find_log` (raises `NotLeader`) and `verifier`: of offsets that are committed in transactions."""
        self._directory = directory
        self._find_log = find_log
        self._verifier = verifier or Verifier(NoTransactions())
        self._guard = guard
        self._clock = clock
        self._offset_limits = offset_limits or OffsetLimits()
        self._parts = ShardParts(
            appender=appender,
            source=source,
            view=view,
            clock=clock,
            limits=limits or GroupLimits(),
            offset_limits=self._offset_limits,
            view_interval_seconds=view_interval_seconds,
        )
        self._shards: dict[PartitionId, GroupShard] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # leadership

    def on_lead(self, log: LogReader) -> None:
        """Load the partition, if it is one of ours, and answer for it from then on."""
        topic = self._directory.topic_by_id(log.partition.topic_id)
        if topic is None or topic.name != OFFSETS_TOPIC:
            return
        self._drop(log.partition)
        shard = self._shards[log.partition] = GroupShard(log, self._guard.session, self._parts)
        shard.start()

    def on_release(self, partition: PartitionId, leader_epoch: int) -> None:
        """Another node coordinates these groups now, or soon."""
        shard = self._shards.get(partition)
        if shard is not None and shard.lease.leader_epoch <= leader_epoch:
            self._drop(partition)

    async def on_marker(self, partition: PartitionId, marker: Marker, offset: int) -> None:
        """A transaction has ended in a partition: as `MarkerListener`."""
        shard = self._shards.get(partition)
        if shard is not None:
            with contextlib.suppress(CauceError):  # the lease is gone: whoever leads next reads it in the log
                await shard.on_marker(marker, offset)

    async def run(self) -> None:
        """Expire offsets now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._offset_limits.retention_check_interval_ms / 1_000)
            await self.expire()

    async def close(self) -> None:
        """Stop answering; leases are given back by whoever holds them."""
        shards = list(self._shards.values())
        for partition in list(self._shards):
            self._drop(partition)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(shard.stopped() for shard in shards), return_exceptions=True)

    def _drop(self, partition: PartitionId) -> None:
        shard = self._shards.pop(partition, None)
        if shard is not None:
            shard.stop()

    # whose group it is

    def _shard(self, group_id: str | None, *, may_be_empty: bool = False) -> GroupShard:
        """The shard of a group, loaded. Raises `Refused` with what the client is told when there is none here."""
        if group_id is None or (not group_id and not may_be_empty):
            raise Refused(ErrorCode.INVALID_GROUP_ID, "a group needs a name")
        topic = self._directory.topic_by_name(OFFSETS_TOPIC)
        if topic is None:
            raise Refused(ErrorCode.COORDINATOR_NOT_AVAILABLE, f"{OFFSETS_TOPIC} does not exist yet")
        partition = PartitionId(topic.topic_id, partition_of_key(group_id, topic.partitions))
        shard = self._shards.get(partition)
        if shard is None:
            led = self._directory.leader(partition) is not None
            code = ErrorCode.NOT_COORDINATOR if led else ErrorCode.COORDINATOR_NOT_AVAILABLE
            raise Refused(
                code, f"group {group_id!r} is coordinated by the leader of {OFFSETS_TOPIC}-{partition.partition}"
            )
        shard.check()
        if not shard.loaded.is_set():
            raise Refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, f"group {group_id!r} is being loaded")
        return shard

    def _loaded_shards(self) -> Iterator[GroupShard]:
        return (shard for shard in list(self._shards.values()) if shard.loaded.is_set())

    # membership

    async def join(self, group_id: str, request: JoinRequest) -> JoinAnswer:
        """JoinGroup: returns when the member is answered, which may take a rebalance timeout."""
        shard = self._shard(group_id)
        entry = shard.entries.get(group_id)
        if entry is None:
            if request.member_id:
                return JoinAnswer(error=ErrorCode.UNKNOWN_MEMBER_ID, member_id=request.member_id)
            entry = shard.entry_or_new(group_id)
        parked: asyncio.Future[JoinAnswer] = asyncio.get_running_loop().create_future()
        shard.carry_out(entry, entry.group.join(request, parked, shard.now_ms()))
        answer = await parked
        shard.check()
        return answer

    async def sync(self, group_id: str, request: SyncRequest) -> SyncAnswer:
        """SyncGroup: returns when the leader's assignment is durable."""
        try:
            shard = self._shard(group_id)
        except Refused as refused:
            if refused.code is not ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
                raise
            # The rebalance this belongs to is lost: rejoining is quicker than looking for the coordinator again.
            return SyncAnswer(error=ErrorCode.REBALANCE_IN_PROGRESS)
        entry = shard.entries.get(group_id)
        if entry is None:
            return SyncAnswer(error=ErrorCode.UNKNOWN_MEMBER_ID)
        parked: asyncio.Future[SyncAnswer] = asyncio.get_running_loop().create_future()
        shard.carry_out(entry, entry.group.sync(request, parked, shard.now_ms()))
        answer = await parked
        shard.check()
        return answer

    def heartbeat(self, group_id: str, member_id: str, instance_id: str | None, generation: int) -> ErrorCode:
        """Heartbeat; taken on trust while the group is loaded: sessions start anew after that."""
        try:
            shard = self._shard(group_id)
        except Refused as refused:
            loading = refused.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
            return ErrorCode.NONE if loading else refused.code
        entry = shard.entries.get(group_id)
        if entry is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        error = entry.group.heartbeat(member_id, instance_id, generation, shard.now_ms())
        shard.carry_out(entry, ())
        return error

    def leave(self, group_id: str, members: Sequence[tuple[str, str | None]]) -> list[ErrorCode]:
        """LeaveGroup of (member id, instance id) each: an error for each. Raises `Refused` for the whole."""
        shard = self._shard(group_id)
        entry = shard.entries.get(group_id)
        if entry is None:
            return [ErrorCode.UNKNOWN_MEMBER_ID] * len(members)
        if entry.group.state is GroupState.DEAD:
            raise Refused(ErrorCode.COORDINATOR_NOT_AVAILABLE, f"group {group_id!r} is being deleted")
        errors = []
        for member_id, instance_id in members:
            error, effects = entry.group.leave(member_id, instance_id, shard.now_ms())
            shard.carry_out(entry, effects)
            errors.append(error)
        return errors

    # offsets

    async def commit_offsets(
        self, commit: OffsetCommit, transaction: CommitTransaction | None = None
    ) -> dict[TopicPartition, ErrorCode]:
        """OffsetCommit, or TxnOffsetCommit: an error for each partition, once those without one are durable. In a
        transaction they are pending until its marker comes. Raises `Refused`."""
        shard = self._shard(commit.group_id, may_be_empty=True)
        entry = shard.entries.get(commit.group_id)
        if entry is None:
            if commit.generation >= 0:
                raise Refused(ErrorCode.ILLEGAL_GENERATION, f"group {commit.group_id!r} has no generation")
            entry = shard.entry_or_new(commit.group_id)
        error = entry.group.check_commit(
            commit.member_id,
            commit.instance_id,
            commit.generation,
            shard.now_ms(),
            transactional=transaction is not None,
        )
        shard.carry_out(entry, ())
        if error is not ErrorCode.NONE:
            raise Refused(error, f"group {commit.group_id!r} takes no offsets from this member now")
        errors = {name: self._check_offset(commit, name) for name in commit.offsets}
        accepted = [name for name, code in errors.items() if code is ErrorCode.NONE]
        if accepted:
            written = await self._write_offsets(shard, entry, commit, accepted, transaction)
            errors.update(dict.fromkeys(accepted, written))
        return errors

    def _check_offset(self, commit: OffsetCommit, name: TopicPartition) -> ErrorCode:
        topic = self._directory.topic_by_name(name[0])
        if topic is None or not 0 <= name[1] < topic.partitions:
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        metadata = commit.offsets[name].metadata or ""
        too_large = len(metadata.encode()) > self._offset_limits.metadata_max_bytes
        return ErrorCode.OFFSET_METADATA_TOO_LARGE if too_large else ErrorCode.NONE

    async def _write_offsets(
        self,
        shard: GroupShard,
        entry: GroupEntry,
        commit: OffsetCommit,
        names: Sequence[TopicPartition],
        transaction: CommitTransaction | None,
    ) -> ErrorCode:
        now_ms = self._clock.now_ms()
        expire_ms = min(now_ms + commit.retention_ms, _LATEST_MS) if commit.retention_ms >= 0 else -1
        changes = []
        for name in names:
            kept = commit.offsets[name]
            row = OffsetRow(kept.offset, kept.leader_epoch, kept.metadata or "", now_ms, expire_ms)
            changes.append(OffsetChange(commit.group_id, *name, row))
        entry.offsets.begin(names)
        try:
            if transaction is None:
                await shard.write(changes)
            else:
                verification = await self._verified(shard.lease.partition, transaction)
                await shard.write(changes, InTransaction(transaction, verification))
        except Unverified as error:
            return _AS_COMMITTERS_KNOW_IT.get(error.code, error.code)
        except CauceError as error:
            log.warning("offsets of group %r could not be committed: %s", commit.group_id, error.message)
            too_large = error.code is ErrorCode.MESSAGE_TOO_LARGE
            return ErrorCode.INVALID_COMMIT_OFFSET_SIZE if too_large else answer_code(error)
        finally:
            entry.offsets.end(names)
        return ErrorCode.NONE

    async def _verified(self, partition: PartitionId, transaction: CommitTransaction) -> Verification | None:
        """Ask whether the partition is in the transaction, unless it has begun here. Raises `Unverified`."""
        if self._find_log is None:
            raise Unverified(ErrorCode.INVALID_TXN_STATE)
        header = without_sequence(transaction.producer_id, transaction.producer_epoch)
        async with self._verifier.turn(transaction.producer_id):
            beginning = self._find_log(partition)
            if not beginning.must_be_verified(header):
                return None
            [verified] = await self._verifier.verify(
                transaction.transactional_id, [Beginning(beginning, header)], _VERIFY_SECONDS
            )
        if isinstance(verified, Unverified):
            raise verified
        return verified

    def pending_offsets(self, group_id: str) -> Set[TopicPartition]:
        """What open transactions commit of a group: it may not be taken for stable (UNSTABLE_OFFSET_COMMIT). Raises
        `Refused`."""
        return self._shard(group_id, may_be_empty=True).pending(group_id)

    def fetch_offsets(self, group_id: str) -> Mapping[TopicPartition, OffsetRow]:
        """All that a group has committed; nothing for a group that is not there. Raises `Refused`."""
        entry = self._shard(group_id, may_be_empty=True).entries.get(group_id)
        return {} if entry is None else dict(entry.offsets.rows)

    async def delete_offsets(self, group_id: str, names: Sequence[TopicPartition]) -> dict[TopicPartition, ErrorCode]:
        """OffsetDelete: an error for each partition. Raises `Refused` for the whole."""
        shard = self._shard(group_id)
        entry = self._existing(shard, group_id)
        group = entry.group
        if group.state is not GroupState.EMPTY and group.protocol_type != CONSUMER_PROTOCOL_TYPE:
            raise Refused(ErrorCode.NON_EMPTY_GROUP, f"group {group_id!r} has members")
        errors = {name: self._check_delete(group, name) for name in names}
        accepted = [name for name, code in errors.items() if code is ErrorCode.NONE]
        try:
            await shard.remove_offsets(entry, entry.offsets.names().intersection(accepted))
        except CauceError as error:
            errors.update(dict.fromkeys(accepted, answer_code(error)))
        return errors

    def _check_delete(self, group: ConsumerGroup, name: TopicPartition) -> ErrorCode:
        topic = self._directory.topic_by_name(name[0])
        if topic is None or not 0 <= name[1] < topic.partitions:
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        # Topics that nobody can make out count as subscribed: better kept than lost.
        subscribed = group.state is not GroupState.EMPTY and (group.topics is None or name[0] in group.topics)
        return ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if subscribed else ErrorCode.NONE

    # groups

    async def delete_group(self, group_id: str) -> ErrorCode:
        """DeleteGroups of one group; it must have no members."""
        try:
            shard = self._shard(group_id, may_be_empty=True)
            entry = self._existing(shard, group_id)
            if entry.group.state is not GroupState.EMPTY:
                return ErrorCode.NON_EMPTY_GROUP
            await shard.remove(entry)
        except CauceError as error:
            return answer_code(error)
        return ErrorCode.NONE

    @staticmethod
    def _existing(shard: GroupShard, group_id: str) -> GroupEntry:
        entry = shard.entries.get(group_id)
        if entry is None or entry.group.state is GroupState.DEAD:
            raise Refused(ErrorCode.GROUP_ID_NOT_FOUND, f"there is no group {group_id!r}")
        return entry

    def describe(self, group_id: str) -> GroupDescription:
        """DescribeGroups of one group; one that is not there is `Dead`. Raises `Refused`."""
        entry = self._shard(group_id, may_be_empty=True).entries.get(group_id)
        if entry is None or entry.group.state is GroupState.DEAD:
            return GroupDescription(group_id, GroupState.DEAD.value)
        group = entry.group
        stable = group.state is GroupState.STABLE
        protocol = group.protocol if stable else None
        return GroupDescription(
            group_id,
            group.state.value,
            group.protocol_type or "",
            protocol or "",
            tuple(member.snapshot(protocol, member.assignment if stable else b"") for member in group.members),
        )

    def list_groups(self) -> list[GroupListing]:
        """Every group coordinated here. Raises `Refused` while one of the partitions is loaded, or the session over."""
        found = []
        for shard in self._shards.values():
            shard.check()
            if not shard.loaded.is_set():
                raise Refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, "groups are being loaded")
            for group_id, entry in shard.entries.items():
                found.append(GroupListing(group_id, entry.group.protocol_type or "", entry.group.state.value))
        return found

    def committed(self) -> dict[str, Mapping[TopicPartition, OffsetRow]]:
        """Group → its committed offsets, for all groups coordinated here: lag is counted from these."""
        return {
            group_id: dict(entry.offsets.rows)
            for shard in self._loaded_shards()
            for group_id, entry in shard.entries.items()
            if entry.offsets.rows
        }

    # what happens by itself

    async def expire(self) -> None:
        """Delete offsets past their retention, and groups that have neither offsets nor members left."""
        now_ms = self._clock.now_ms()
        for shard in list(self._loaded_shards()):
            with contextlib.suppress(CauceError):  # the next round finds the same
                shard.check()
                await asyncio.gather(*(self._expire(shard, entry, now_ms) for entry in list(shard.entries.values())))

    async def _expire(self, shard: GroupShard, entry: GroupEntry, now_ms: int) -> None:
        group = entry.group
        if group.state is GroupState.DEAD:
            return
        names = entry.offsets.expired(group, now_ms, self._offset_limits.retention_ms)
        if group.idle and len(names) == len(entry.offsets.names()):
            await shard.remove(entry)
        else:
            await shard.remove_offsets(entry, names)

    def on_topics_deleted(self, topics: Iterable[str]) -> None:
        """Topics (by name) are gone: so are the offsets committed for them, as soon as they can be deleted."""
        gone = frozenset(topics)
        for shard in list(self._shards.values()):
            task = asyncio.create_task(self._forget_topics(shard, gone))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forget_topics(self, shard: GroupShard, topics: frozenset[str]) -> None:
        await shard.loaded.wait()
        for entry in list(shard.entries.values()):
            if entry.group.state is GroupState.DEAD:
                continue
            try:
                await shard.remove_offsets(entry, entry.offsets.of_topics(topics))
            except CauceError as error:
                log.warning("offsets of deleted topics stay until they expire: %s", error.message)
                return
