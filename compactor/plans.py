"""What compaction can intend: extents into record segments, or small record segments into one. Values only."""

from dataclasses import dataclass

from infra.cluster.manifest_record import RecordSegment
from infra.segment.extent import AbortedTransaction, Extent


@dataclass(frozen=True, slots=True)
class CompactExtents:
    """Rewrite whole extents into record segments that together cover [base_offset, last_offset].

    The first extent may begin below base_offset (the log start, or the end of the record segments, lies within it):
    what it holds below is left out.
    """

    base_offset: int
    last_offset: int  # inclusive
    extents: tuple[Extent, ...]  # ascending, contiguous
    target_bytes: int  # of a record segment
    aborted: tuple[AbortedTransaction, ...] = ()  # whose records are left out, in the order of their markers

    @property
    def size(self) -> int:
        """Bytes of record batches to read."""
        return sum(extent.size for extent in self.extents)


@dataclass(frozen=True, slots=True)
class MergeSegments:
    """Rewrite adjacent record segments into one."""

    segments: tuple[RecordSegment, ...]  # ascending, neighbours

    @property
    def size(self) -> int:
        """Bytes of objects to read."""
        return sum(segment.size for segment in self.segments)


CompactionPlan = CompactExtents | MergeSegments
