"""What coordinators need besides infra/ports.py, and who leads gives: reading an internal partition's log back."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from infra.partition import Lease, PartitionId
from infra.store.port import Buffer
from infra.view.port import OffsetChanges


class LogSource(Protocol):
    """The log of partitions that this node leads, from wherever it lies: tail, extents, record segments."""

    def read_log(self, partition: PartitionId, from_offset: int, upto: int) -> AsyncIterator[Sequence[Buffer]]:
        """Whole record batches in order, a few at a time: the first one contains `from_offset` or follows it (the log
        may be cleaned), all start below `upto` (exclusive, at most the log end offset).

        Raises `NotLeader` once the lease is gone, `Unavailable` when the store does not answer.
        """


class OffsetsView(Protocol):
    """The part of `infra.view.port.View` that materialises consumer offsets."""

    async def incarnation(self) -> str | None: ...
    async def load_offsets(self, partition: PartitionId) -> OffsetChanges: ...
    async def apply_offsets(self, lease: Lease, changes: OffsetChanges) -> None: ...
    async def reset_offsets(self, lease: Lease) -> None: ...
