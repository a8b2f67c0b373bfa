"""The committed offsets of one group, and which of them have had their time. No I/O and no clock."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass

from infra.partition import TopicPartition
from infra.view.port import OffsetRow
from ingest.coordinator.group import ConsumerGroup
from ingest.coordinator.group_state import GroupState
from ingest.coordinator.subscription import CONSUMER_PROTOCOL_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetLimits:
    """Limits of committed offsets, with Kafka's defaults."""

    metadata_max_bytes: int = 4_096  # offset.metadata.max.bytes
    retention_ms: int = 7 * 24 * 60 * 60 * 1_000  # offsets.retention.minutes
    retention_check_interval_ms: int = 600_000  # offsets.retention.check.interval.ms


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedOffset:
    """What a client asks to be kept for one partition."""

    offset: int
    leader_epoch: int = -1
    metadata: str | None = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetCommit:
    """An OffsetCommit of one group, free of its version."""

    group_id: str
    generation: int = -1
    member_id: str = ""
    instance_id: str | None = None
    retention_ms: int = -1  # -1: the broker's
    offsets: Mapping[TopicPartition, CommittedOffset]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitTransaction:
    """The transaction that offsets are committed in."""

    transactional_id: str
    producer_id: int
    producer_epoch: int


class GroupOffsets:
    """Offsets by topic and partition, and which of them are being written now."""

    def __init__(self, pending: Callable[[], Set[TopicPartition]] = frozenset) -> None:
        """`pending()`: what open transactions commit."""
        self.pending = pending
        self.rows: dict[TopicPartition, OffsetRow] = {}
        self._being_written: Counter[TopicPartition] = Counter()

    def begin(self, names: Iterable[TopicPartition]) -> None:
        """Commits of these go to the log now."""
        self._being_written.update(names)

    def end(self, names: Iterable[TopicPartition]) -> None:
        """They are there, or failed."""
        self._being_written.subtract(names)
        self._being_written += Counter()  # forget those that are at zero

    def put(self, name: TopicPartition, row: OffsetRow | None) -> None:
        """What the log says of one partition; None deletes."""
        if row is None:
            self.rows.pop(name, None)
        else:
            self.rows[name] = row

    def names(self) -> set[TopicPartition]:
        """All there are, or may be in a moment."""
        return {*self.rows, *self._being_written, *self.pending()}

    def of_topics(self, topics: frozenset[str]) -> list[TopicPartition]:
        """Those of some topics."""
        return [name for name in self.names() if name[0] in topics]

    def expired(self, group: ConsumerGroup, now_ms: int, retention_ms: int) -> list[TopicPartition]:
        """Offsets nobody is to miss any more; `now_ms` is the wall clock.

        A group that had members counts from the time it became empty. A consumer group with members keeps what its
        members subscribe to. Simple consumers, who never join, count from each commit. A commit that came with an
        expiry of its own keeps to that.
        """
        since = _counted_from(group)
        if since is None:
            return []
        kept = group.topics if len(group.members) else None
        pending = self.pending()
        return [
            name
            for name, row in self.rows.items()
            if name not in self._being_written
            and name not in pending
            and (kept is None or name[0] not in kept)
            and (row.expire_timestamp if row.expire_timestamp >= 0 else since(row) + retention_ms) <= now_ms
        ]


def _counted_from(group: ConsumerGroup) -> Callable[[OffsetRow], int] | None:
    """From when an offset's retention counts, None when nothing of the group may expire now."""
    if group.state is GroupState.EMPTY:
        if group.protocol_type is None or group.state_since_ms < 0:
            return _commit_time
        emptied_ms = group.state_since_ms
        return lambda row: max(emptied_ms, row.commit_timestamp)
    knows_topics = group.protocol_type == CONSUMER_PROTOCOL_TYPE and group.topics is not None
    return _commit_time if knows_topics and group.state is GroupState.STABLE else None


def _commit_time(row: OffsetRow) -> int:
    return row.commit_timestamp
