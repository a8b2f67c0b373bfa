"""Reads extents in loads of a few MiB: each a handful of range GETs side by side, whole record batches in offset order.

What comes back is checked against the index and by the batches' own CRC-32C; the records are not looked at here.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from compactor.footers import Footers
from infra.records.batch import PREFIX_BYTES, BatchHeader, crc_of
from infra.segment.extent import Extent, FlushedExtent
from infra.segment.segment_index import BatchSpan
from infra.store.port import ObjectStore

LOAD_BYTES = 8 << 20
PIECE_BYTES = 4 << 20  # what is decoded at once; compressed batches take several times as much then
_GETS_AT_ONCE = 16
_FOOTERS_AT_ONCE = 16

_Found = tuple[BatchSpan, memoryview, bool]  # a batch, and whether it is what the index says


@dataclass(frozen=True, slots=True)
class Stretch:
    """Batches that lie one behind the other in a segment: one range GET."""

    segment: str
    spans: tuple[BatchSpan, ...]

    @property
    def position(self) -> int:
        """First byte."""
        return self.spans[0].position

    @property
    def size(self) -> int:
        """Bytes of the GET; what lies between batches is read too."""
        return self.spans[-1].position + self.spans[-1].size - self.position


@dataclass(frozen=True, slots=True)
class Piece:
    """Record batches that are decoded in one go, in offset order, as views of what GETs brought."""

    last_offset: int  # of the last batch
    batches: list[memoryview]
    damaged: list[tuple[int, memoryview]]  # base offset, and a batch that fails its checks


class ExtentLoads:
    """One reading of a plan's extents. `flushed` fills with what their footers say as it goes."""

    def __init__(self, store: ObjectStore, footers: Footers, extents: Sequence[Extent], base_offset: int) -> None:
        """Batches wholly below `base_offset` are left out."""
        self._store = store
        self._footers = footers
        self._extents = extents
        self._base_offset = base_offset
        self._gets = asyncio.Semaphore(_GETS_AT_ONCE)
        self.flushed: list[FlushedExtent] = []

    async def read(self) -> AsyncIterator[list[Piece]]:
        """All loads in order. Raises `NotFound`, `Corrupt`, `BadStart` and `Unavailable`, each names the object."""
        pending: list[Stretch] = []
        for at in range(0, len(self._extents), _FOOTERS_AT_ONCE):
            pending += await self._stretches(self._extents[at : at + _FOOTERS_AT_ONCE])
            *whole, rest = pack(pending, LOAD_BYTES)
            for stretches in whole:
                yield await self._load(stretches)
            pending = rest
        if pending:
            yield await self._load(pending)

    async def _stretches(self, extents: Sequence[Extent]) -> list[Stretch]:
        known = await asyncio.gather(*(self._footers.extent(extent) for extent in extents))
        self.flushed += (flushed for flushed, _ in known)
        found = []
        for extent, (_, spans) in zip(extents, known, strict=True):
            wanted = tuple(span for span in spans if span.last_offset >= self._base_offset)
            if wanted:
                found.append(Stretch(extent.segment, wanted))
        return found

    async def _load(self, stretches: Sequence[Stretch]) -> list[Piece]:
        parts = await asyncio.gather(*(self._get(stretch) for stretch in stretches))
        return list(_pieces(found for part in parts for found in part))

    async def _get(self, stretch: Stretch) -> list[_Found]:
        async with self._gets:
            data = await self._store.get_range(stretch.segment, stretch.position, stretch.size)
            found = await asyncio.to_thread(_checked, stretch, data)
            if not all(whole for _, _, whole in found):  # perhaps only on its way to us
                data = await self._store.get_range(stretch.segment, stretch.position, stretch.size)
                found = await asyncio.to_thread(_checked, stretch, data)
            return found


def pack(stretches: Iterable[Stretch], most_bytes: int) -> Iterator[list[Stretch]]:
    """Cut and gather stretches into lists of up to so many bytes, one batch at least; the last may be empty."""
    load: list[Stretch] = []
    size = 0
    for stretch in stretches:
        begin = 0
        for at, span in enumerate(stretch.spans):
            if size and size + span.size > most_bytes:
                if at > begin:
                    load.append(Stretch(stretch.segment, stretch.spans[begin:at]))
                yield load
                load, size, begin = [], 0, at
            size += span.size
        load.append(Stretch(stretch.segment, stretch.spans[begin:]))
    yield load


def _pieces(batches: Iterable[_Found]) -> Iterator[Piece]:
    piece, size = Piece(-1, [], []), 0
    for span, batch, whole in batches:
        if size and size + span.size > PIECE_BYTES:
            yield piece
            piece, size = Piece(-1, [], []), 0
        piece = replace(piece, last_offset=span.last_offset)
        size += span.size
        if whole:
            piece.batches.append(batch)
        else:
            piece.damaged.append((span.base_offset, batch))
    if size:
        yield piece


def _checked(stretch: Stretch, data: bytes) -> list[_Found]:
    memory = memoryview(data)
    found = []
    for span in stretch.spans:
        begin = span.position - stretch.position
        batch = memory[begin : begin + span.size]
        found.append((span, batch, _is_whole(span, batch)))
    return found


def _is_whole(span: BatchSpan, batch: memoryview) -> bool:
    if len(batch) != span.size:
        return False
    header = BatchHeader.parse(batch)
    return (
        header.base_offset == span.base_offset
        and header.last_offset == span.last_offset
        and header.batch_length == span.size - PREFIX_BYTES
        and header.crc == crc_of(batch)
    )
