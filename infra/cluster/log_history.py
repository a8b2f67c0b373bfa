"""What of a partition's log lies in the bucket: record segments by the manifest, extents above them; where it begins.

Plain. At every moment record segments answer below the end of the record segments, extents from there on: what a
manifest has replaced, and what lies below the log start, is dropped here at once and never given to a reader again.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment
from infra.segment.aborted import AbortedTransactions
from infra.segment.extent import AbortedTransaction, Extent


class LogHistory:
    """The manifest as adopted last, and the published extents that it has not replaced."""

    def __init__(self, manifest: Manifest, extents: Iterable[Extent]) -> None:
        self.manifest = manifest
        self.log_start_offset = manifest.log_start_offset
        self.extents = list(extents)  # ascending
        self._aborted = AbortedTransactions(one for extent in self.extents for one in extent.aborted)
        self._drop_extents()

    @property
    def records_end(self) -> int:
        """One past the last record segment; 0 when there is none."""
        return self.manifest.records_end

    @property
    def floor(self) -> int:
        """The first offset that extents answer for."""
        return max(self.log_start_offset, self.records_end)

    def segments_from(self, offset: int) -> Sequence[RecordSegment]:
        """Record segments that end at or above offset, ascending."""
        segments = self.manifest.segments
        return segments[bisect_left(segments, offset, key=lambda segment: segment.last_offset) :]

    def extents_from(self, offset: int) -> Sequence[Extent]:
        """Extents that end at or above offset, ascending."""
        return self.extents[bisect_left(self.extents, offset, key=lambda extent: extent.last_offset) :]

    def aborted_between(self, offset: int, upto: int, tail_start: int) -> Sequence[AbortedTransaction]:
        """The aborted transactions with records below `upto` whose markers lie in extents, at or above `offset` and
        below the tail, which knows its own."""
        if offset >= tail_start:
            return ()
        return [one for one in self._aborted.between(offset, upto) if one.last_offset < tail_start]

    def add(self, extent: Extent) -> None:
        """The next extent is published; one that lies below the floor is not needed any more."""
        if extent.last_offset >= self.floor:
            self.extents.append(extent)
            self._aborted.add(extent.aborted)

    def adopt(self, manifest: Manifest) -> None:
        """Take a newer manifest; the log start only rises."""
        self.manifest = manifest
        self.log_start_offset = max(self.log_start_offset, manifest.log_start_offset)
        self._drop_extents()

    def raise_log_start(self, offset: int) -> None:
        """Take a higher log start offset."""
        self.log_start_offset = offset
        self._drop_extents()

    def _drop_extents(self) -> None:
        del self.extents[: bisect_left(self.extents, self.floor, key=lambda extent: extent.last_offset)]
        self._aborted.forget_below(self.floor)
