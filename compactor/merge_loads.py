"""Reads record segments in loads of a few MiB: neighbouring row groups come with one range GET."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from infra.cluster.manifest_record import RecordSegment, RowGroup
from infra.segment.record_footer import RecordFooter, read_record_footer
from infra.store.port import ObjectStore

LOAD_BYTES = 8 << 20
_FOOTERS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class GroupLoad:
    """Row groups of one segment, one behind the other, and the bytes that one GET brought of them."""

    footer: RecordFooter
    first: int  # number of the first row group; 0 also when the segment has none
    groups: tuple[RowGroup, ...]
    data: bytes

    def parts(self) -> Iterator[tuple[int, RowGroup, memoryview]]:
        """Number, place and bytes of each."""
        memory = memoryview(self.data)
        for at, group in enumerate(self.groups):
            begin = group.position - self.groups[0].position
            yield self.first + at, group, memory[begin : begin + group.size]


async def read_segments(store: ObjectStore, segments: Sequence[RecordSegment]) -> AsyncIterator[GroupLoad]:
    """All row groups of all segments, in order; a segment without any gives one empty load.

    Raises `NotFound`, `Corrupt`, `BadStart` and `Unavailable`; each names the object.
    """
    for at in range(0, len(segments), _FOOTERS_AT_ONCE):
        some = segments[at : at + _FOOTERS_AT_ONCE]
        footers = await asyncio.gather(*(read_record_footer(store, one.key) for one in some))
        for segment, footer in zip(some, footers, strict=True):
            for first, groups in _stretches(footer.row_groups):
                yield GroupLoad(footer, first, groups, await _get(store, segment.key, groups))


async def _get(store: ObjectStore, key: str, groups: Sequence[RowGroup]) -> bytes:
    if not groups:
        return b""
    end = groups[-1].position + groups[-1].size
    return await store.get_range(key, groups[0].position, end - groups[0].position)


def _stretches(groups: Sequence[RowGroup]) -> Iterator[tuple[int, tuple[RowGroup, ...]]]:
    """Runs of up to LOAD_BYTES, one group at least, with the number of the first."""
    first = 0
    for at, group in enumerate(groups):
        if at > first and group.position + group.size - groups[first].position > LOAD_BYTES:
            yield first, tuple(groups[first:at])
            first = at
    yield first, tuple(groups[first:])
