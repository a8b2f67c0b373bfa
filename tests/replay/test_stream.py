"""The stream: every record once, in order, from segments and leader, whatever is replaced while it reads."""

import asyncio
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from infra.cluster.manifest_record import ManifestRecord
from infra.errors import Corrupt, Unavailable
from infra.records.record import Record
from infra.store.memory import MemoryObjectStore
from reader.replay import stream as stream_module
from reader.replay.plan import Span
from reader.replay.request import BYTES, TEXT
from reader.replay.selection import Selection
from reader.replay.stream import Delivered
from tests.replay.world import World, record, records_in, run


def _records(*offsets: int) -> list[Record]:
    return [record(offset) for offset in offsets]


async def _whole_topic() -> World:
    """Partition 0: segments to 99 and 149, leader to 199; partition 1: leader only; partition 2: segments only."""
    world = World()
    await world.compacted(0, _records(*range(100)), 0, 99)
    await world.compacted(0, _records(*range(100, 150)), 100, 149)
    for base in range(140, 200, 10):  # what was compacted is still with the leader
        world.leader.append(0, _records(*range(base, base + 10)))
    world.leader.append(1, _records(*range(7)))
    await world.compacted(2, _records(3, 4, 9), 0, 9)
    return world


SPANS = {0: Span(0, 200), 1: Span(0, 7), 2: Span(0, 10)}
EXPECTED = [
    *((0, record(offset)) for offset in range(200)),
    *((1, record(offset)) for offset in range(7)),
    *((2, record(offset)) for offset in (3, 4, 9)),
]


def _in(delivered: Sequence[Delivered]) -> list[tuple[int, Record]]:
    return records_in([one.rows for one in delivered])


def test_every_record_once_partition_by_partition() -> None:
    async def scenario() -> None:
        world = await _whole_topic()
        delivered = await world.read(SPANS)
        assert _in(delivered) == EXPECTED
        assert {one.partition: one.next_offset for one in delivered} == {0: 200, 1: 7, 2: 10}
        assert all(one.rows.schema == BYTES for one in delivered)
        assert len(delivered) > 20  # the segments have several row groups

    run(scenario())


@pytest.mark.parametrize(("start", "end"), [(0, 1), (37, 38), (37, 121), (99, 101), (145, 171), (150, 200), (199, 200)])
def test_a_span_is_cut_out(start: int, end: int) -> None:
    async def scenario() -> None:
        world = await _whole_topic()
        assert _in(await world.read({0: Span(start, end)})) == EXPECTED[start:end]

    run(scenario())


def test_positions_can_be_gone_on_from() -> None:
    async def scenario() -> None:
        world = await _whole_topic()
        delivered = await world.read(SPANS)
        for at in range(0, len(delivered), 5):
            reached = {one.partition: one.next_offset for one in delivered[:at]}
            left = {one: Span(reached.get(one, span.start), span.end) for one, span in SPANS.items()}
            assert _in(delivered[:at]) + _in(await world.read(left)) == EXPECTED

    run(scenario())


def test_few_columns_are_a_small_part_of_the_bytes() -> None:
    async def scenario() -> None:
        store = _CountingStore()
        world = World(store, row_group_bytes=20_000)
        await world.compacted(0, [record(at, value=bytes(2000)) for at in range(500)], 0, 499)
        spans = {0: Span(0, 500)}
        store.sizes.clear()
        delivered = await world.read(spans, Selection(columns=("key", "offset")))
        assert pa.Table.from_batches([one.rows for one in delivered]).to_pydict() == {
            "key": [record(at).key for at in range(500)],
            "offset": list(range(500)),
        }
        few = sum(store.sizes[1:])  # the first is the footer
        store.sizes.clear()
        await world.read(spans)
        assert few < sum(store.sizes[1:]) / 2
        store.sizes.clear()
        counted = await world.read(spans, Selection(columns=("partition",)))
        assert sum(one.rows.num_rows for one in counted) == 500
        assert len(store.sizes) == 1  # how many records there are stands in the footer

    run(scenario())


def test_row_groups_are_pruned_by_a_filter() -> None:
    async def scenario() -> None:
        store = _CountingStore()
        world = World(store)
        await world.compacted(0, _records(*range(200)), 0, 199)
        segment = await world.compacted(0, _records(*range(200, 300)), 200, 299)
        groups = len(segment.row_groups)
        for expression, expected in (
            (pc.field("key") == pa.scalar(b"k000077", pa.binary()), [77]),
            (pc.field("timestamp") >= pa.scalar(1_700_000_000_290, BYTES.field("timestamp").type), range(290, 300)),
            ((pc.field("offset") > 196) & (pc.field("offset") < 203), range(197, 203)),
        ):
            store.sizes.clear()
            delivered = await world.read({0: Span(0, 300)}, Selection(filter=expression))
            assert _in(delivered) == [(0, record(at)) for at in expected]
            assert len(store.sizes) <= 2 + 6 < groups  # two footers, and groups of two records
            assert delivered[-1].next_offset == 300

    run(scenario())


def test_segments_that_are_too_old_are_not_looked_at() -> None:
    async def scenario() -> None:
        store = _CountingStore()
        world = World(store)
        await world.compacted(0, _records(*range(50)), 0, 49)
        store.sizes.clear()
        [nothing] = await world.read({0: Span(0, 50)}, start_ms=1_800_000_000_000)
        assert (nothing.next_offset, nothing.rows.num_rows, store.sizes) == (50, 0, [])

    run(scenario())


def test_text_stands_beside_bytes() -> None:
    async def scenario() -> None:
        world = World()
        await world.compacted(0, [record(0), record(1, key=b"\xff", value=None), record(2, value=b"\x80")], 0, 2)
        [only] = await world.read({0: Span(0, 3)}, Selection(TEXT, ("key", "key_bytes", "value", "value_bytes")))
        assert only.rows.to_pydict() == {
            "key": ["k000000", None, "k000002"],
            "key_bytes": [None, b"\xff", None],
            "value": ['{"n": 0}', None, None],
            "value_bytes": [None, None, b"\x80"],
        }

    run(scenario())


def test_what_is_replaced_under_way_is_planned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_PAUSE_SECONDS", 0.0)

    async def scenario() -> None:
        world = World()
        first = await world.compacted(0, _records(*range(60)), 0, 59)
        second = await world.compacted(0, _records(*range(60, 100)), 60, 99)
        for base in range(100, 150, 10):
            world.leader.append(0, _records(*range(base, base + 10)))
        stream = world.stream({0: Span(0, 150)}, ahead_bytes=1)  # nothing is read ahead of what has to go
        found = []
        async for one in stream.batches():
            found.append(one)
            if len(found) == 2:
                both = await world.segment(0, _records(*range(110)), 0, 109)
                await world.change(0, ManifestRecord(0, added=(both,), removed=(first.key, second.key)))
                await world.store.delete([first.key, second.key])
        assert _in(found) == [(0, record(at)) for at in range(150)]

    run(scenario())


def test_what_retention_passes_under_way_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_PAUSE_SECONDS", 0.0)

    async def scenario() -> None:
        world = World()
        for base in range(0, 100, 10):
            world.leader.append(0, _records(*range(base, base + 10)))
        stream = world.stream({0: Span(0, 100)}, ahead_bytes=1)
        found = []
        async for one in stream.batches():
            found.append(one)
            if len(found) == 1:
                await world.change(0, ManifestRecord(65))
                world.leader.starts[0] = 65
        got = [at.offset for _, at in _in(found)]
        assert got[-35:] == list(range(65, 100))
        assert got[:-35] == list(range(len(got) - 35))
        assert len(got) < 100

    run(scenario())


def test_an_object_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_PAUSE_SECONDS", 0.0)

    async def scenario() -> None:
        world = World()
        segment = await world.compacted(0, _records(*range(60)), 0, 59)
        await world.store.delete([segment.key])
        with pytest.raises(Unavailable, match=segment.key):
            await world.read({0: Span(0, 60)})

    run(scenario())


def test_damage_is_told_in_its_place() -> None:
    async def scenario() -> None:
        world = World()
        segment = await world.compacted(0, _records(*range(200)), 0, 199)
        body = bytearray(await world.store.get(segment.key))
        body[segment.row_groups[2].position + segment.row_groups[2].size // 2] ^= 1
        await world.store.delete([segment.key])
        await world.store.create(segment.key, bytes(body))
        found: list[Delivered] = []

        async def read() -> None:
            async for one in stream.batches():
                found.append(one)  # noqa: PERF401 - what came before the error counts

        stream = world.stream({0: Span(0, 200)})
        with pytest.raises(Corrupt, match=segment.key):
            await read()
        assert _in(found) == [(0, record(at)) for at in range(segment.row_groups[1].last_offset + 1)]

    run(scenario())


def test_no_more_is_read_ahead_than_the_budget() -> None:
    async def scenario() -> None:
        store = _CountingStore()
        world = World(store, row_group_bytes=20_000)
        await world.compacted(0, [record(at, value=bytes([at % 256]) * 1000) for at in range(3000)], 0, 2999)
        groups = len(await world.read({0: Span(0, 3000)}))
        store.sizes.clear()
        stream = world.stream({0: Span(0, 3000)}, ahead_bytes=200_000)
        batches = stream.batches()
        await anext(batches)
        for _ in range(100):
            await asyncio.sleep(0)
        assert 1 < len(store.sizes) < groups / 2
        await batches.aclose()

    run(scenario())


class _CountingStore(MemoryObjectStore):
    """Notes the sizes of what ranged GETs answered."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        found = await super().get_range(key, position, length)
        self.sizes.append(len(found))
        return found
