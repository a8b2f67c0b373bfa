"""Batches that this node refused though nothing is wrong with them: their producers will send them again.

What is under way behind such a batch is out of order only by the refusal. Told of a gap, clients begin a new epoch and
send again what they have no answer to, so that records that were appended stand twice; and a producer that a log does
not know may begin with any sequence, so the batch behind could go first. Kept for the node and not in a log, since a
lease may come, or come back, between two requests of one connection. Plain: time is monotonic seconds, as an argument.
"""

from dataclasses import dataclass

from infra.errors import Unavailable
from infra.partition import PartitionId
from infra.records.batch import BatchHeader

KEEP_SECONDS = 60.0  # whoever has not come again by then is not waited for: a gap is a gap again
_MOST = 100_000  # batches that are waited for


@dataclass(frozen=True, slots=True)
class _First:
    """The first batch of a producer that was turned away."""

    epoch: int
    sequence: int
    until: float

    def is_before(self, epoch: int, sequence: int) -> bool:
        return self.epoch == epoch and 0 < (sequence - self.sequence) % (1 << 31) < 1 << 30


class TurnedAway:
    """Of each partition and idempotent producer the first batch that has to come again."""

    def __init__(self) -> None:
        self._firsts: dict[tuple[PartitionId, int], _First] = {}

    def __len__(self) -> int:
        return len(self._firsts)

    def note(self, partition: PartitionId, header: BatchHeader, now: float) -> None:
        """This batch is refused for now."""
        if header.base_sequence < 0:
            return
        key = partition, header.producer_id
        first = _First(header.producer_epoch, header.base_sequence, now + KEEP_SECONDS)
        known = self._firsts.pop(key, None)
        if known is not None and now < known.until:
            if known.epoch > first.epoch:
                first = known
            elif known.is_before(first.epoch, first.sequence):
                first = _First(known.epoch, known.sequence, first.until)
        self._firsts[key] = first  # the last of all: they are in order of their time
        self._forget_old(now)

    def check(self, partition: PartitionId, header: BatchHeader, now: float) -> None:
        """Raises `Unavailable` when a batch before this one has to come again."""
        first = self._firsts.get((partition, header.producer_id))
        if first is not None and now < first.until and first.is_before(header.producer_epoch, header.base_sequence):
            raise Unavailable(f"sequence {first.sequence} of producer {header.producer_id} has to be sent again before")

    def came(self, partition: PartitionId, header: BatchHeader) -> None:
        """This batch is in the log."""
        first = self._firsts.get((partition, header.producer_id))
        if first is not None and not _First(header.producer_epoch, header.base_sequence, 0.0).is_before(
            first.epoch, first.sequence
        ):
            del self._firsts[partition, header.producer_id]

    def _forget_old(self, now: float) -> None:
        while self._firsts:
            key, first = next(iter(self._firsts.items()))
            if now < first.until and len(self._firsts) <= _MOST:
                return
            del self._firsts[key]
