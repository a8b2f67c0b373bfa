"""The tail of a partition that this node follows: recent record batches as its leader gave them. Plain.

Batches are views of the memory they were received in. Knows offsets and bytes, not where else the log lies: whoever
owns it says how far it may be trimmed.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from infra.records.batch import BatchHeader

BATCH_OVERHEAD_BYTES = 512  # what a batch costs besides its bytes: its view, and its place in the lists


class FollowedTail:
    """Whole batches from `start_offset` to `end_offset`, without a gap."""

    def __init__(self, offset: int) -> None:
        self._end = offset
        self._bases: list[int] = []
        self._batches: list[memoryview] = []
        self.held_bytes = 0

    @property
    def start_offset(self) -> int:
        """First offset held; the end when nothing is."""
        return self._bases[0] if self._bases else self._end

    @property
    def end_offset(self) -> int:
        """The offset after the last batch."""
        return self._end

    def append(self, header: BatchHeader, batch: memoryview) -> bool:
        """Add a batch; False, and nothing is changed, when it does not go on where the tail ends.

        The first one may begin below the end that the tail was made with, as long as it contains it: the log start may
        lie within a batch.
        """
        contains = not self._bases and header.base_offset <= self._end < header.next_offset
        if header.base_offset != self._end and not contains:
            return False
        self._bases.append(header.base_offset)
        self._batches.append(batch)
        self._end = header.next_offset
        self.held_bytes += _cost(batch)
        return True

    def read(self, offset: int, max_bytes: int, upto: int, at_least_one: bool) -> list[memoryview]:
        """As `LogReader.read_tail`."""
        found: list[memoryview] = []
        left = max_bytes
        for batch in self._between(offset, upto):
            left -= len(batch)
            if left < 0 and (found or not at_least_one):
                break
            found.append(batch)
        return found

    def count_bytes(self, offset: int, upto: int, limit: int) -> int:
        """As `LogReader.tail_bytes`."""
        counted = 0
        for batch in self._between(offset, upto):
            counted += len(batch)
            if counted >= limit:
                return limit
        return counted

    def trim(self, upto: int, max_bytes: int) -> None:
        """Let go of the oldest batches that end at or below `upto` until no more than `max_bytes` are held."""
        gone = 0
        while self.held_bytes > max_bytes and gone < len(self._bases) and self._end_of(gone) <= upto:
            self.held_bytes -= _cost(self._batches[gone])
            gone += 1
        del self._bases[:gone], self._batches[:gone]

    def cut(self, offset: int) -> None:
        """Let go of the batches that end above `offset`: they do not exist any more."""
        if offset >= self._end:
            return
        keep = bisect_right(self._bases, offset)
        if keep and self._end_of(keep - 1) > offset:
            keep -= 1
        self.held_bytes -= sum(map(_cost, self._batches[keep:]))
        self._end = offset if keep == 0 else self._end_of(keep - 1)
        del self._bases[keep:], self._batches[keep:]

    def _between(self, offset: int, upto: int) -> Iterable[memoryview]:
        """The batches from the one containing `offset` that end at or below `upto`."""
        if offset >= self._end:
            return ()
        first = max(bisect_right(self._bases, offset) - 1, 0)
        end = len(self._bases) if upto >= self._end else bisect_left(self._bases, upto)
        if end > first and self._end_of(end - 1) > upto:
            end -= 1
        return (self._batches[place] for place in range(first, end))

    def _end_of(self, place: int) -> int:
        return self._bases[place + 1] if place + 1 < len(self._bases) else self._end


def _cost(batch: memoryview) -> int:
    return len(batch) + BATCH_OVERHEAD_BYTES
