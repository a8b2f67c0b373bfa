"""The tail: recent record batches of a partition, in memory, ready to serve and to flush.

Batches are views of the memory they were received in; nothing here copies them. What is not yet published is never
trimmed; what is published goes when the node's budget for hot data is used up, the oldest first, whichever partition
it is of. Plain: knows offsets and bytes, not durability, leases or the WAL.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from typing import NamedTuple

from infra.records.batch import BatchHeader

BATCH_OVERHEAD_BYTES = 1024  # what a batch costs besides its bytes: its view, its header, its place in the lists
_COMPACT_FROM = 64  # trimmed places at the front of a list before they are cut off


class TailBatch(NamedTuple):
    """One record batch with its offsets assigned."""

    header: BatchHeader
    batch: memoryview
    wal_position: int  # the WAL may be trimmed up to here while this batch is needed
    appended_ms: int  # the leader's clock

    @property
    def cost(self) -> int:
        """Bytes of memory it holds."""
        return self.header.size + BATCH_OVERHEAD_BYTES


class Tail:
    """The batches of one partition from `start_offset` to the log end, without a gap."""

    def __init__(self, offset: int) -> None:
        self._end = offset
        self._head = 0  # places before it are trimmed
        self._bases: list[int] = []
        self._batches: list[TailBatch | None] = []

    def __len__(self) -> int:
        return len(self._bases) - self._head

    @property
    def start_offset(self) -> int:
        """First offset held; the end when nothing is."""
        return self._bases[self._head] if len(self) else self._end

    @property
    def end_offset(self) -> int:
        """The offset after the last batch."""
        return self._end

    def append(self, batch: TailBatch) -> None:
        """Add the batch that begins at the end."""
        if batch.header.base_offset != self._end:
            raise ValueError(f"a batch at {batch.header.base_offset} does not follow {self._end}")
        self._bases.append(self._end)
        self._batches.append(batch)
        self._end = batch.header.next_offset

    def read(self, offset: int, max_bytes: int, upto: int, at_least_one: bool) -> list[memoryview]:
        """Whole batches from the one containing `offset` on, all below `upto`, at most max_bytes in all.

        The first is given whatever its size when `at_least_one`. Empty when nothing is there.
        """
        found: list[memoryview] = []
        left = max_bytes
        for place in self._places(offset, upto):
            batch = self._at(place)
            left -= batch.header.size
            if left < 0 and (found or not at_least_one):
                break
            found.append(batch.batch)
        return found

    def count_bytes(self, offset: int, upto: int, limit: int) -> int:
        """Bytes that read would give, counted no further than `limit`."""
        counted = 0
        for place in self._places(offset, upto):
            counted += self._at(place).header.size
            if counted >= limit:
                return limit
        return counted

    def slice(self, offset: int, upto: int, max_bytes: int) -> list[TailBatch]:
        """Batches from `offset` (the base of one) below `upto`: as many as fit max_bytes, but one at least."""
        taken: list[TailBatch] = []
        left = max_bytes
        for place in self._places(offset, upto):
            batch = self._at(place)
            left -= batch.header.size
            if taken and left < 0:
                break
            taken.append(batch)
        return taken

    def first_from(self, offset: int) -> TailBatch | None:
        """The batch that contains `offset`, None at the end."""
        return self._at(self._place(offset)) if offset < self._end else None

    def trim_first(self) -> TailBatch:
        """Let go of the oldest batch."""
        first = self._at(self._head)
        self._batches[self._head] = None
        self._head += 1
        if self._head >= _COMPACT_FROM and self._head * 2 >= len(self._bases):
            del self._bases[: self._head], self._batches[: self._head]
            self._head = 0
        return first

    def _places(self, offset: int, upto: int) -> range:
        """Where the batches lie, from the one containing `offset`, that end below `upto`."""
        return range(self._place(offset), self._place_upto(upto))

    def _place(self, offset: int) -> int:
        if offset >= self._end:
            return len(self._bases)
        return max(bisect_right(self._bases, offset, lo=self._head) - 1, self._head)

    def _place_upto(self, upto: int) -> int:
        """One past the place of the last batch that ends below `upto`."""
        if upto >= self._end:
            return len(self._bases)
        place = bisect_left(self._bases, upto, lo=self._head)
        if place > self._head and self._at(place - 1).header.next_offset > upto:
            place -= 1
        return place

    def _at(self, place: int) -> TailBatch:
        batch = self._batches[place]
        if batch is None:
            raise IndexError(f"place {place} of the tail is trimmed")
        return batch


class TailBudget:
    """How many bytes of published batches all tails of a node keep hot together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._published: deque[tuple[Tail, int]] = deque()  # tails and offsets up to which they may be trimmed
        self._held: dict[Tail, int] = {}  # bytes by tail
        self.held_bytes = 0

    def published(self, tail: Tail, upto: int, size: int) -> None:
        """`size` more bytes of a tail, those below offset `upto`, are published: the oldest of all may have to go."""
        self._published.append((tail, upto))
        self._held[tail] = self._held.get(tail, 0) + size
        self.held_bytes += size
        while self.held_bytes > self._max_bytes and self._published:
            self._trim_oldest()

    def closed(self, tail: Tail) -> None:
        """A tail serves no more: what it held counts no more."""
        self.held_bytes -= self._held.pop(tail, 0)

    def _trim_oldest(self) -> None:
        tail, upto = self._published[0]
        if tail in self._held and tail.start_offset < upto:
            cost = tail.trim_first().cost
            self._held[tail] -= cost
            self.held_bytes -= cost
        else:
            self._published.popleft()
