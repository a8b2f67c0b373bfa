"""What a node has on its disk and in memory and not yet in the bucket: how much it is, and what of the WAL it needs.

Plain. The WAL may be trimmed up to the lowest position that any partition still needs: a led one its first unpublished
batch, one whose lease was lost at durability `wal` the same until somebody took the lease again with its help, and
one that is only known from an earlier process what that process left.
"""

from infra.partition import PartitionId
from ingest.partition_log import PartitionLog


class Unpublished:
    """Over all partitions of one node."""

    def __init__(self) -> None:
        self.size = 0  # bytes of memory that led logs hold for it
        self._led: dict[PartitionLog, int] = {}
        self._left: dict[PartitionId, PartitionLog] = {}
        self._held: dict[PartitionId, int] = {}

    def note(self, log: PartitionLog) -> None:
        """Something was appended or published."""
        size = log.unpublished_bytes
        self.size += size - self._led.pop(log, 0)
        if size:
            self._led[log] = size

    def settle(self) -> None:
        """Something was published, of whichever logs."""
        for log in tuple(self._led):
            self.note(log)

    def close(self, log: PartitionLog, keep: bool) -> None:
        """A log is led no more; `keep` what it has not published for whoever takes the lease again."""
        self.size -= self._led.pop(log, 0)
        if keep and log.first_unpublished_position is not None:
            self._left[log.partition] = log

    def left(self, partition: PartitionId) -> PartitionLog | None:
        """The closed log that still holds what the bucket lacks of a partition."""
        return self._left.get(partition)

    def hold(self, partition: PartitionId, position: int) -> None:
        """An earlier process left batches of this partition in the WAL, from `position` on."""
        self._held[partition] = min(position, self._held.get(partition, position))

    def forget(self, partition: PartitionId) -> None:
        """Whatever was kept of a partition is published or void."""
        self._held.pop(partition, None)
        self._left.pop(partition, None)

    def needed_from(self, wal_end: int) -> int:
        """The WAL may be trimmed up to here."""
        logs = (*self._led, *self._left.values())
        needed = [position for log in logs if (position := log.first_unpublished_position) is not None]
        return min((*needed, *self._held.values()), default=wal_end)
