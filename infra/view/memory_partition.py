"""What the memory view knows of one partition's extents, and the rule by which a publish is taken or refused.

The same rule as in `scripts/publish.lua`. Values never change, so that a publish of several partitions is all or
nothing.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from infra.errors import Corrupt, Fenced
from infra.segment.extent import Extent, FlushedExtent, ProducerEntry
from infra.view.port import PublishedPartition

Verdict = Literal["add", "repeat", "fenced", "gap", "overlap"]


@dataclass(frozen=True, slots=True)
class MemoryPartition:
    """End offset, extents in order and producers; `leader_epoch` is the highest that its extents told of."""

    end_offset: int = 0
    leader_epoch: int = -1
    extents: tuple[Extent, ...] = ()
    producers: Mapping[int, ProducerEntry] = field(default_factory=dict)

    @classmethod
    def of(cls, published: PublishedPartition, at_least_epoch: int) -> "MemoryPartition":
        """What `put_partition` puts in place of what was known."""
        epoch = max((extent.leader_epoch for extent in published.extents), default=-1)
        producers = {entry.producer_id: entry for entry in published.producers}
        return cls(published.end_offset, max(epoch, at_least_epoch), published.extents, producers)

    def published(self) -> PublishedPartition:
        """As the view answers it."""
        producers = tuple(self.producers[producer_id] for producer_id in sorted(self.producers))
        return PublishedPartition(self.end_offset, self.extents, producers)

    def trimmed(self, below: int) -> "MemoryPartition":
        """Without the extents whose records are all below an offset."""
        return replace(self, extents=tuple(extent for extent in self.extents if extent.last_offset >= below))

    def with_flushed(self, flushed: FlushedExtent, known_epoch: int) -> "MemoryPartition":
        """After a publish. Raises `Fenced` and `Corrupt`."""
        extent = flushed.extent
        verdict = self._judge(extent, max(known_epoch, self.leader_epoch))
        if verdict == "repeat":
            return self
        if verdict == "fenced":
            raise Fenced(f"{extent.segment}: a leader epoch above {extent.leader_epoch} of {extent.partition} is known")
        if verdict != "add":
            raise Corrupt(
                f"{extent.segment}: {verdict} at {extent.partition}, whose end is {self.end_offset} in the view"
            )
        producers = {**self.producers, **{entry.producer_id: entry for entry in flushed.producers}}
        return MemoryPartition(extent.last_offset + 1, extent.leader_epoch, (*self.extents, extent), producers)

    def _judge(self, extent: Extent, known_epoch: int) -> Verdict:
        if extent.base_offset < self.end_offset:
            return self._judge_below(extent, known_epoch)
        if extent.leader_epoch < known_epoch:
            return "fenced"
        return "add" if extent.base_offset == self.end_offset else "gap"

    def _judge_below(self, extent: Extent, known_epoch: int) -> Verdict:
        """An extent below the end: applied already (perhaps trimmed since), or a contradiction."""
        place = bisect_left(self.extents, extent.base_offset, key=lambda stored: stored.last_offset)
        stored = self.extents[place] if place < len(self.extents) else None
        if stored is not None and _identity(stored) == _identity(extent):
            return "repeat"
        if extent.leader_epoch < known_epoch:
            return "fenced"
        trimmed = place == 0 and extent.last_offset < (self.end_offset if stored is None else stored.base_offset)
        return "repeat" if trimmed else "overlap"


def _identity(extent: Extent) -> tuple[str, int, int]:
    return extent.segment, extent.base_offset, extent.last_offset
