"""Decides, without I/O, where a Fetch of one partition is served from: the tail, segments, or nothing yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.error_code import ErrorCode
from infra.errors import Corrupt, Refused
from infra.ports import LogReader
from infra.segment.extent import Extent

MAX_EXTENTS = 256
"""Of one plan: where extents are tiny, an answer of fewer bytes beats one that waits for thousands of GETs."""


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


def check_offset(log: LogReader, offset: int) -> None:
    """Refuse an offset outside the log (OFFSET_OUT_OF_RANGE), by the TTL rule only while the session surely lives."""
    if log.log_start_offset <= offset <= log.log_end_offset:
        return
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


def plan_read(log: LogReader, offset: int, max_bytes: int, upto: int, at_least_one: bool) -> TailRead | SegmentRead:
    """What to read for a fetch at `offset`, below `upto`, at most max_bytes but one whole batch when asked.

    Raises `Corrupt` as `extents_at`.
    """
    if offset >= upto or (max_bytes <= 0 and not at_least_one):
        return TailRead([])
    if offset >= log.tail_start_offset:
        return TailRead(log.read_tail(offset, max_bytes, upto, at_least_one))
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
    return SegmentRead(extents, offset, upto, max_bytes, at_least_one)
