"""The batches on this node's disk that the bucket may lack, by partition: what an earlier process left in the WAL, and
what leases that were lost in this process had not published.

They stay until the partition's lease is taken again, with or without their help, or somebody else's epoch has made
them void. The WAL is not trimmed below them meanwhile.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from infra.partition import PartitionId
from infra.store.port import Buffer
from ingest.wal.recovery import RecoveredEntry


class LeftBehind(Protocol):
    """What is needed of `ingest.leaders.Leaders`."""

    def unpublished(self, partition: PartitionId) -> Sequence[Buffer]: ...
    def hold_wal(self, partition: PartitionId, position: int) -> None: ...
    def forget_left(self, partition: PartitionId) -> None: ...


class LeftInWal:
    """One a node."""

    def __init__(self, leaders: LeftBehind) -> None:
        self._leaders = leaders
        self._recovered: dict[PartitionId, list[Buffer]] = {}
        self._lost: set[PartitionId] = set()

    def recover(self, entries: Iterable[RecoveredEntry]) -> None:
        """Take what the WAL held when it was opened; reads files, so it may block. Call it before anything is led."""
        begin = 0
        for recovered, end in entries:
            self._leaders.hold_wal(recovered.partition, begin)
            self._recovered.setdefault(recovered.partition, []).append(recovered.batch)
            begin = end

    def lost(self, partition: PartitionId) -> None:
        """A lease at durability `wal` was lost in this process: its log may have left something."""
        self._lost.add(partition)

    def batches(self, partition: PartitionId) -> list[Buffer]:
        """Stamped, in the order of appending."""
        return [*self._recovered.get(partition, ()), *self._leaders.unpublished(partition)]

    def partitions(self) -> frozenset[PartitionId]:
        """Those of which something may be left."""
        return frozenset((*self._recovered, *self._lost))

    def forget(self, partition: PartitionId) -> None:
        """Whatever was left of a partition is in the bucket or void."""
        self._recovered.pop(partition, None)
        self._lost.discard(partition)
        self._leaders.forget_left(partition)
