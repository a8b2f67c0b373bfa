"""Looks up the keys of a record segment in an offset map: which of its records stay.

What stays is one bit a record, whatever its size; keys are held for one look-up at a time.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from compactor.cleaning import NOT_CLEANED, Scanned
from compactor.offset_map import OffsetMap
from compactor.segment_rows import Rows, SegmentRows
from infra.cluster.manifest_record import RecordSegment

_LOOK_UP_BYTES = 32 << 20  # of keys: a look-up costs as much as the map holds, however few they are


@dataclass(frozen=True, slots=True)
class KeptRows:
    """A scanned segment, and for each of its row groups a boolean for every row."""

    scanned: Scanned
    stays: tuple[pa.ChunkedArray, ...]


@dataclass(frozen=True, slots=True)
class ScanRule:
    """How a segment's records are judged."""

    upto: int  # exclusive: the end of the stretch that the map was made of
    cleaned_upto: int  # exclusive: below it only segments with a cleaned_ms have tombstones
    tombstones_leave: bool  # whether an earlier pass kept the tombstones of this segment, long enough ago
    now_ms: int


@dataclass(slots=True)
class _Gathered:
    """Row groups that wait for their look-up."""

    groups: list[pa.Table] = field(default_factory=list)  # offset, key, tombstone
    size: int = 0

    def add(self, rows: pa.Table) -> None:
        """One more."""
        self.groups.append(rows)
        self.size += rows.nbytes


class KeyScan:
    """Scans segments against one map."""

    def __init__(self, rows: SegmentRows, offsets: OffsetMap) -> None:
        self._rows = rows
        self._map = offsets

    async def scan(self, segment: RecordSegment, rule: ScanRule) -> KeptRows:
        """Judge every record of a segment. Raises as `SegmentRows`."""
        whole = segment.last_offset < rule.upto
        with_values = rule.tombstones_leave or segment.last_offset >= rule.cleaned_upto
        stays: list[pa.ChunkedArray] = []
        tombstones = kept = 0
        if segment.records:
            gathered = _Gathered()
            async with aclosing(self._read(segment, with_values)) as groups:
                async for _, rows in groups:
                    gathered.add(_keys(rows, with_values))
                    if gathered.size >= _LOOK_UP_BYTES:
                        tombstones += await self._judge(gathered, rule, stays)
                        gathered = _Gathered()
            tombstones += await self._judge(gathered, rule, stays)
            kept = sum(pc.sum(mask).as_py() or 0 for mask in stays)
        waits = segment.cleaned_ms
        if not kept or (with_values and not tombstones):
            waits = NOT_CLEANED
        elif waits == NOT_CLEANED and tombstones and whole:
            waits = rule.now_ms
        return KeptRows(Scanned(segment, kept, waits, whole), tuple(stays))

    def _read(self, segment: RecordSegment, with_values: bool) -> Rows:
        if with_values:
            return self._rows.wide(segment, ("offset", "key", "value"))
        return self._rows.narrow(segment, ("offset", "key"))

    async def _judge(self, gathered: _Gathered, rule: ScanRule, stays: list[pa.ChunkedArray]) -> int:
        """Append a mask for each row group; answers how many tombstones stay."""
        if not gathered.groups:
            return 0
        mask, tombstones = await self._rows.run(self._masks, gathered.groups, rule)
        begin = 0
        for rows in gathered.groups:
            stays.append(mask.slice(begin, len(rows)))
            begin += len(rows)
        return tombstones

    def _masks(self, groups: Sequence[pa.Table], rule: ScanRule) -> tuple[pa.ChunkedArray, int]:
        rows = pa.concat_tables(groups)
        mask = self._map.newest(rows["key"], rows["offset"])
        if rule.tombstones_leave:
            mask = pc.and_not(mask, rows["tombstone"])
        return mask, pc.sum(pc.and_(mask, rows["tombstone"])).as_py() or 0


def _keys(rows: pa.Table, with_values: bool) -> pa.Table:
    """Offset and key, and whether it is a tombstone as far as values were read."""
    tombstone = pc.is_null(rows["value"]) if with_values else pa.repeat(False, len(rows))
    return pa.table({"offset": rows["offset"], "key": rows["key"], "tombstone": tombstone})
