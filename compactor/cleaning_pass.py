"""One pass of cleaning over a partition: from its first segment to the end of the stretch whose keys it knows.

Segments are taken in offset order, and each piece of work is one manifest record: what was read so far is clean when
the pass is given up. Only the last record moves `cleaned_upto`, when everything below was judged by the same map; and
the tombstones of a segment begin to wait when all below it has been cleaned of what they delete.
"""

from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

from compactor.ahead import ahead
from compactor.cleaning import NOT_CLEANED, Scanned, is_small, joins, neighbours, tombstones_leave
from compactor.key_scan import KeptRows, KeyScan, ScanRule
from compactor.merge_loads import read_segments
from compactor.meter import Meter
from compactor.offset_map import OffsetMap
from compactor.partition import PartitionWork
from compactor.planner import MOST_SEGMENT_BYTES
from compactor.replace import Replacer
from compactor.segment_output import Bench, SegmentOutput
from compactor.segment_rows import SegmentRows
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord, RecordSegment, RowGroup
from infra.records.columns import RECORDS
from infra.segment.record_footer import RecordFooter, SegmentFacts
from infra.segment.record_rows import read_rows
from infra.segment.record_segment import TimeOutOfReach
from infra.store.port import Buffer
from infra.table_config import ICEBERG
from infra.topic_config import TopicSettings

_MOST_SOURCES = 64  # named in a footer
_HELD = 64  # small segments that wait for a neighbour which is written anyway


@dataclass(frozen=True, slots=True)
class CleaningTools:
    """What every pass works with."""

    bench: Bench
    replacer: Replacer
    meter: Meter
    cluster_id: str


@dataclass(slots=True)
class _Piece:
    """What the next manifest record will say."""

    group: list[KeptRows] = field(default_factory=list)  # written into one new segment
    held: list[KeptRows] = field(default_factory=list)  # small ones just below what comes next
    marked: dict[str, Scanned] = field(default_factory=dict)  # stay as they are, but for their cleaned_ms


class CleaningPass:
    """`upto` equal to `cleaned_upto`, and an empty map: a pass that only lets old tombstones go."""

    def __init__(
        self, tools: CleaningTools, settings: TopicSettings, offsets: OffsetMap, *, cleaned_upto: int, upto: int
    ) -> None:
        self.cleaned_upto = cleaned_upto
        self.upto = upto
        self.done = False
        self._tools = tools
        self._settings = settings
        self._target = min(settings.segment_bytes, MOST_SEGMENT_BYTES)
        self._rows = SegmentRows(tools.bench)
        self._scan = KeyScan(self._rows, offsets)
        self._position = 0  # everything below is done

    async def advance(self, work: PartitionWork, most_bytes: int) -> Manifest | None:
        """Go on by about so many bytes of segments; `done` tells whether the pass is over.

        The last manifest made, None when none was. Raises as `SegmentRows`, and `Unavailable`; may be called again.
        """
        turn = _Turn(self._tools, self._settings, self._rows, work, self._target)
        start = max(self._position, work.manifest.log_start_offset)
        read = 0
        for segment in work.manifest.segments:
            if segment.last_offset < start or segment.base_offset >= max(self.upto, self.cleaned_upto):
                continue
            if read >= most_bytes and (turn.made or not turn.is_settled):
                break
            rule = self._rule(segment)
            if self.upto > self.cleaned_upto or rule.tombstones_leave:
                read += segment.size
                if not await turn.take(await self._scan.scan(segment, rule)):
                    return turn.made
            elif not await turn.skip():
                return turn.made
            if turn.is_settled:
                self._position = segment.last_offset + 1
            reached = segment.last_offset + 1
        else:
            self.done = await turn.finish(max(self.upto, self.cleaned_upto))
            return turn.made
        if await turn.finish(None):
            self._position = reached
        return turn.made

    def _rule(self, segment: RecordSegment) -> ScanRule:
        now_ms = self._tools.bench.clock.now_ms()
        leave = tombstones_leave(segment, self._settings, now_ms)
        return ScanRule(self.upto, self.cleaned_upto, leave, now_ms)


class _Turn:
    """The pieces of one call of `advance`, each recorded as soon as the next segment cannot be part of it."""

    def __init__(
        self, tools: CleaningTools, settings: TopicSettings, rows: SegmentRows, work: PartitionWork, target_bytes: int
    ) -> None:
        self.made: Manifest | None = None
        self._tools = tools
        self._settings = settings
        self._rows = rows
        self._work = work
        self._manifest = work.manifest
        self._target = target_bytes
        self._piece = _Piece()

    @property
    def is_settled(self) -> bool:
        """Whether all that was taken is recorded."""
        return not self._piece.group and not self._piece.marked

    async def take(self, one: KeptRows) -> bool:
        """The next segment; False when another compactor was faster."""
        piece, scanned = self._piece, one.scanned
        small = is_small(scanned, self._target)
        group = [each.scanned for each in piece.group]
        if group and (scanned.loses or small) and joins(group, scanned, self._target, self._settings):
            piece.group.append(one)
            return True
        if group and not await self._record():
            return False
        piece = self._piece
        if scanned.loses:
            held = [each.scanned for each in piece.held]
            count = neighbours(held, scanned, self._target, self._settings)
            piece.group = [*piece.held[len(held) - count :], one]
            piece.held = []
        else:
            self._leave(one, small)
        return True

    async def skip(self) -> bool:
        """A segment that is not looked at comes next; False when another compactor was faster."""
        recorded = not self._piece.group or await self._record()
        self._piece.held = []
        return recorded

    async def finish(self, cleaned_upto: int | None) -> bool:
        """Record what is left; False when another compactor was faster."""
        if cleaned_upto is not None and cleaned_upto > self._manifest.cleaned_upto:
            return await self._record(cleaned_upto)
        return self.is_settled or await self._record()

    def _leave(self, one: KeptRows, small: bool) -> None:
        """A segment that loses nothing and has no neighbour to be written with: yet, when it is small."""
        if one.scanned.waits_since_ms != one.scanned.segment.cleaned_ms:
            self._piece.marked[one.scanned.segment.key] = one.scanned
        self._piece.held = [*self._piece.held[-_HELD + 1 :], one] if small else []

    async def _record(self, cleaned_upto: int | None = None) -> bool:
        """Write the group and record it with what is marked."""
        piece, self._piece = self._piece, _Piece()
        written = await self._written(piece.group) if piece.group else ()
        gone = [each.scanned.segment.key for each in piece.group]
        marked = [one for key, one in piece.marked.items() if key not in gone]
        now_ms = self._tools.bench.clock.now_ms()
        waits = [_waits(each.scanned, now_ms) for each in piece.group]
        record = ManifestRecord(
            self._manifest.log_start_offset,
            added=(
                *(replace(segment, cleaned_ms=max(waits) if segment.records else NOT_CLEANED) for segment in written),
                *(replace(one.segment, cleaned_ms=_waits(one, now_ms)) for one in marked),
            ),
            removed=(*gone, *(one.segment.key for one in marked)),
            cleaned_upto=cleaned_upto,
        )
        after = await self._tools.replacer.replace(self._work.partition, self._manifest, record)
        if after is None:
            return False
        self.made = self._manifest = after
        self._tools.meter.add("cleaned_bytes_out", sum(segment.size for segment in written))
        lost = sum(each.scanned.segment.records - each.scanned.kept for each in piece.group)
        self._tools.meter.add("cleaned_records", lost)
        return True

    async def _written(self, group: Sequence[KeptRows]) -> tuple[RecordSegment, ...]:
        """In microseconds for a table, unless a record's time is beyond what those can tell."""
        if self._work.settings.table == ICEBERG:
            with suppress(TimeOutOfReach):
                return await self._write(group, microseconds=True)
        return await self._write(group, microseconds=False)

    async def _write(self, group: Sequence[KeptRows], *, microseconds: bool) -> tuple[RecordSegment, ...]:
        segments = [each.scanned.segment for each in group]
        sources = tuple(segment.key for segment in segments)
        named = sources if len(sources) <= _MOST_SOURCES else ()
        facts = SegmentFacts(self._tools.cluster_id, self._work.topic.name, self._work.partition, named)
        output = SegmentOutput(
            self._tools.bench,
            facts,
            base_offset=segments[0].base_offset,
            value_format=segments[0].value_format,
            rewrites=max(segment.rewrites for segment in segments),
            microseconds=microseconds,
        )
        try:
            for each in group:
                await self._copy(each, output)
            await output.cut(segments[-1].last_offset)
            return await output.finish()
        finally:
            await output.abandon()

    async def _copy(self, one: KeptRows, output: SegmentOutput) -> None:
        """What stays of a segment, and batches of it that nobody could decode."""

        def copy(footer: RecordFooter, number: int, group: RowGroup, data: Buffer) -> None:
            output.write(read_rows(footer, number, group, data).filter(one.stays[number]), ())

        segments = [one.scanned.segment]
        async with aclosing(ahead(read_segments(self._tools.bench.store, segments))) as loads:
            async for load in loads:
                if load.first == 0 and load.footer.unreadable:
                    await self._rows.run(output.write, RECORDS.empty_table(), load.footer.unreadable)
                for number, group, data in load.parts():
                    await self._rows.run(copy, load.footer, number, group, data)


def _waits(one: Scanned, now_ms: int) -> int:
    return now_ms if one.first_kept else one.waits_since_ms
