"""Decides, without I/O, where a Fetch of one partition is served from: the tail, segments, or nothing yet."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from infra.cluster.manifest_record import RecordSegment, RowGroup
from infra.error_code import ErrorCode
from infra.errors import Corrupt, Refused
from infra.ports import LogReader
from infra.segment.extent import Extent
from reader.epochs import epoch_at

MAX_EXTENTS = 256
"""Of one plan: where extents are tiny, an answer of fewer bytes beats one that waits for thousands of GETs."""

MAX_ROW_GROUPS = 64
"""Of one plan: as with extents, where cleaning has left little in each."""

_RECORD_OVERHEAD_BYTES = 12  # what a record batch says of a record besides key, value and headers, about


@dataclass(frozen=True, slots=True)
class TailRead:
    """The record batches themselves, whole, as the tail holds them."""

    batches: list[memoryview]


@dataclass(frozen=True, slots=True)
class SegmentRead:
    """Extents to read in order, from the batch that contains `offset`, below `upto`. There is one extent at least."""

    extents: Sequence[Extent]
    offset: int
    upto: int
    max_bytes: int
    at_least_one: bool

    @property
    def expected_bytes(self) -> int:
        """About how many bytes this read will give."""
        return max(1, min(self.max_bytes, sum(extent.size for extent in self.extents)))


@dataclass(frozen=True, slots=True)
class GroupRead:
    """One row group of a record segment. What it becomes is the same for whoever asks."""

    segment: str
    number: int
    group: RowGroup
    leader_epoch: int  # of its last offset: record batches made of it carry this one
    expected_bytes: int = field(compare=False)  # of these record batches, about

    @property
    def end(self) -> int:
        """Position after its last byte in the segment."""
        return self.group.position + self.group.size


@dataclass(frozen=True, slots=True)
class RecordRead:
    """Row groups to read in order, from the batch that contains `offset` or follows it, below `upto`; one at least."""

    groups: Sequence[GroupRead]
    offset: int
    upto: int
    max_bytes: int
    at_least_one: bool

    @property
    def expected_bytes(self) -> int:
        """About how many bytes this read will give."""
        above = _bytes_above(self.groups[0], self.offset)
        return max(1, min(self.max_bytes, above + sum(read.expected_bytes for read in self.groups[1:])))


Plan = TailRead | RecordRead | SegmentRead


def check_offset(log: LogReader, offset: int) -> None:
    """Refuse an offset outside the log (OFFSET_OUT_OF_RANGE), by the TTL rule only while the session surely lives.

    Above what a follower knows the log may have more: OFFSET_NOT_AVAILABLE.
    """
    if log.log_start_offset <= offset <= log.log_end_offset:
        return
    if offset > log.log_end_offset and not log.leads:
        raise Refused(ErrorCode.OFFSET_NOT_AVAILABLE, f"offset {offset} is not known here, {log.log_end_offset} is")
    log.check_ttl()
    raise Refused(
        ErrorCode.OFFSET_OUT_OF_RANGE,
        f"offset {offset} is outside {log.log_start_offset} to {log.log_end_offset}",
    )


def extents_at(log: LogReader, offset: int) -> Sequence[Extent]:
    """The extents from the one that holds `offset` on. Raises `Corrupt` where none holds it: an answer from beyond a
    hole would have its reader pass over records."""
    extents = log.extents_from(offset)
    if not extents or extents[0].base_offset > offset:
        raise Corrupt(f"no extent holds offset {offset} of {log.partition}")
    return extents


def plan_read(log: LogReader, offset: int, max_bytes: int, upto: int, at_least_one: bool) -> Plan:
    """What to read for a fetch at `offset`, below `upto`, at most max_bytes but one whole batch when asked.

    The tail is asked first, then record segments, then extents. Raises `Corrupt` as `extents_at`.
    """
    if offset >= upto or (max_bytes <= 0 and not at_least_one):
        return TailRead([])
    if offset >= log.tail_start_offset:
        return TailRead(log.read_tail(offset, max_bytes, upto, at_least_one))
    if offset < log.records_end:
        return RecordRead(_groups_from(log, offset, max_bytes, upto), offset, upto, max_bytes, at_least_one)
    return SegmentRead(_extents_from(log, offset, max_bytes, upto), offset, upto, max_bytes, at_least_one)


def groups_of(log: LogReader, segment: RecordSegment, offset: int) -> Iterator[GroupRead]:
    """The row groups of a record segment from the one that answers for `offset` on, ascending."""
    # One that cleaning has emptied still answers for its offsets.
    groups = segment.row_groups or (RowGroup(segment.base_offset, segment.last_offset, 0, 0),)
    for number in range(bisect_left(groups, offset, key=lambda group: group.last_offset), len(groups)):
        epoch = epoch_at(log.epochs, groups[number].last_offset)
        yield GroupRead(segment.key, number, groups[number], epoch, _expected_bytes(segment, groups[number]))


def _groups_from(log: LogReader, offset: int, max_bytes: int, upto: int) -> list[GroupRead]:
    groups: list[GroupRead] = []
    size = 0
    following = chain.from_iterable(groups_of(log, segment, offset) for segment in log.record_segments_from(offset))
    for read in islice(following, MAX_ROW_GROUPS):
        if groups and (size >= max_bytes or read.group.base_offset >= upto):
            break
        size += read.expected_bytes if groups else _bytes_above(read, offset)
        groups.append(read)
    return groups


def _extents_from(log: LogReader, offset: int, max_bytes: int, upto: int) -> list[Extent]:
    extents: list[Extent] = []
    size = 0
    for extent in extents_at(log, offset):
        if extent.base_offset >= upto or len(extents) == MAX_EXTENTS:
            break
        if extents and extent.base_offset != extents[-1].last_offset + 1:
            break
        # The first extent may hold little above the offset, so it does not count towards what is enough.
        size += extent.size if extents else 0
        extents.append(extent)
        if size >= max_bytes:
            break
    return extents


def _expected_bytes(segment: RecordSegment, group: RowGroup) -> int:
    """Of record batches without compression, going by the segment as a whole."""
    groups = segment.row_groups
    if not groups:
        return 1
    whole = segment.bytes_in + _RECORD_OVERHEAD_BYTES * segment.records
    stored = groups[-1].position + groups[-1].size - groups[0].position
    return max(group.size, group.size * whole // max(1, stored))


def _bytes_above(read: GroupRead, offset: int) -> int:
    """What the group that contains `offset` has from there on, as if its records lay evenly."""
    group = read.group
    offsets = group.last_offset + 1 - group.base_offset
    return read.expected_bytes * min(offsets, group.last_offset + 1 - offset) // offsets
