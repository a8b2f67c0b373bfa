"""Batches that this node refused though nothing is wrong with them: their producers will send them again.

What is under way behind such a batch is out of order only by the refusal. Told of a gap, clients begin a new epoch and
send again what they have no answer to, so that records that were appended stand twice; and a producer that a log does
not know may begin with any sequence, so the batch behind could go first. Kept for the node and not in a log, since a
lease may come, or come back, between two requests of one connection. Plain: time is monotonic seconds, as an argument.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.errors import Unavailable
from infra.partition import PartitionId
from infra.records.batch import BatchHeader
from ingest.producer_state import SEQUENCES

KEEP_SECONDS = 60.0  # whoever has not come again by then is not waited for: a gap is a gap again
_MOST = 100_000  # batches that are waited for


@dataclass(frozen=True, slots=True)
class _First:
    """The first batch of a producer that was turned away."""

    place: tuple[int, int]  # its epoch and sequence
    until: float


def _place(header: BatchHeader) -> tuple[int, int]:
    return header.producer_epoch, header.base_sequence


def _is_before(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a producer sent one batch before the other in the same epoch."""
    return one[0] == other[0] and 0 < (other[1] - one[1]) % SEQUENCES < SEQUENCES // 2


class TurnedAway:
    """Of each partition and idempotent producer the first batch that has to come again."""

    def __init__(self) -> None:
        self._firsts: dict[tuple[PartitionId, int], _First] = {}

    def __len__(self) -> int:
        return len(self._firsts)

    def note(self, partition: PartitionId, headers: Iterable[BatchHeader], now: float) -> None:
        """These batches are refused for now."""
        for header in headers:
            if header.base_sequence >= 0:
                self._note((partition, header.producer_id), header, now)

    def check(self, partition: PartitionId, headers: Iterable[BatchHeader], now: float) -> None:
        """Raises `Unavailable` when a batch before one of these has to come again."""
        if not self._firsts:
            return
        for header in headers:
            first = self._firsts.get((partition, header.producer_id))
            if first is not None and now < first.until and _is_before(first.place, _place(header)):
                raise Unavailable(
                    f"sequence {first.place[1]} of producer {header.producer_id} has to be sent again before"
                )

    def came(self, partition: PartitionId, headers: Iterable[BatchHeader]) -> None:
        """These batches are in the log."""
        if not self._firsts:
            return
        for header in headers:
            key = partition, header.producer_id
            first = self._firsts.get(key)
            if first is not None and not _is_before(_place(header), first.place):
                del self._firsts[key]

    def _note(self, key: tuple[PartitionId, int], header: BatchHeader, now: float) -> None:
        place = _place(header)
        first = _First(place, now + KEEP_SECONDS)
        known = self._firsts.pop(key, None)
        if known is not None and now < known.until:
            if known.place[0] > place[0]:
                first = known
            elif _is_before(known.place, place):
                first = _First(known.place, first.until)
        self._firsts[key] = first  # the last of all: they are in order of their time
        self._forget_old(now)

    def _forget_old(self, now: float) -> None:
        while self._firsts:
            key, first = next(iter(self._firsts.items()))
            if now < first.until and len(self._firsts) <= _MOST:
                return
            del self._firsts[key]
