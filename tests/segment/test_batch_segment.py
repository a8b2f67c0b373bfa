"""Batch segments: what was put in is found again by the index, by pyarrow and by DuckDB; bad footers are told."""

import asyncio
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import BadStart, Corrupt, NotFound
from infra.partition import SessionId
from infra.records.batch import BatchHeader, stamp
from infra.records.decode import decode_batch
from infra.segment import footer as footer_module
from infra.segment.batch_segment import BuiltSegment, SegmentPart, build_batch_segment
from infra.segment.extent import AbortedTransaction, ProducerEntry
from infra.segment.footer import SegmentFooter, footer_bytes, parse_footer, read_extents, read_footer
from infra.store.memory import MemoryObjectStore
from tests.segment.parts import part

ROOT = Path(__file__).parents[2]
KEY = "batches/0000000001/0000000002/0000000003.parquet"
SESSION = SessionId(1, 2)
PRODUCER = ProducerEntry(7, 1, ((0, 1, 10, 1000), (2, 3, 12, 1001)), 1001)


class CountingStore(MemoryObjectStore):
    def __init__(self) -> None:
        super().__init__()
        self.ranges: list[tuple[int, int]] = []

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        self.ranges.append((position, length))
        return await super().get_range(key, position, length)


def build(*parts: SegmentPart, row_group_bytes: int = 1 << 20) -> BuiltSegment:
    return build_batch_segment(KEY, "cluster-1", SESSION, parts, row_group_bytes=row_group_bytes)


def read(built: BuiltSegment) -> tuple[SegmentFooter, list[tuple[int, int]]]:
    async def main() -> tuple[SegmentFooter, list[tuple[int, int]]]:
        store = CountingStore()
        await store.create(KEY, built.body)
        return await read_footer(store, KEY), store.ranges

    return asyncio.run(main())


sizes = st.lists(st.integers(0, 300) | st.just(70_000), min_size=1, max_size=12)
several = st.lists(
    st.tuples(sizes, st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=5, unique_by=lambda p: p[1:]
)


@settings(max_examples=60, deadline=None)
@given(several, st.integers(1, 200_000))
def test_every_batch_is_found_where_the_footer_says(shapes: list[tuple[list[int], int, int]], group: int) -> None:
    parts = [part(sizes, topic=topic, partition=number, base_offset=topic * 5) for sizes, topic, number in shapes]
    built = build(*parts, row_group_bytes=group)
    footer, ranges = read(built)
    assert len(ranges) == 1
    assert footer.flushed == built.flushed == built.footer.flushed
    assert (footer.version, footer.cluster_id, footer.session) == (1, "cluster-1", SESSION)
    given_batches = {given.partition: given.batches for given in parts}
    for flushed in footer.flushed:
        extent = flushed.extent
        spans = footer.index.spans(extent)
        found = [built.body[span.position : span.position + span.size] for span in spans]
        assert found == given_batches[extent.partition]
        headers = [BatchHeader.parse(batch) for batch in found]
        assert [(h.base_offset, h.last_offset, h.max_timestamp, h.size) for h in headers] == [
            (span.base_offset, span.last_offset, span.max_timestamp, span.size) for span in spans
        ]
        assert (extent.batches, extent.records) == (len(headers), sum(header.record_count for header in headers))
        assert extent.size == sum(header.size for header in headers)
        assert (extent.base_offset, extent.last_offset) == (headers[0].base_offset, headers[-1].last_offset)
        assert extent.max_timestamp == max(header.max_timestamp for header in headers)
    rows = [(str(one.extent.partition.topic_id), one.extent.partition.partition) for one in footer.flushed]
    assert rows == sorted(rows)


def test_analytics_engines_read_it(tmp_path: Path) -> None:
    built = build(part([10, 20, 30], topic=2), part([5] * 4, topic=1, partition=3), row_group_bytes=200)
    path = tmp_path / "segment.parquet"
    path.write_bytes(built.body)
    counted = duckdb.sql(
        f"select topic_id, count(*), sum(record_count), min(base_offset) from '{path}' group by 1 order by 1"
    ).fetchall()
    one, two = (f"00000000-0000-0000-0000-00000000000{digit}" for digit in "12")
    assert counted == [(one, 4, 8, 0), (two, 3, 6, 0)]
    assert duckdb.sql(f"select epoch_ms(max(max_timestamp)) from '{path}'").fetchall() == [(1_000_006,)]
    table = pq.read_table(path)
    assert table.schema.field("records").type == pa.binary()
    assert pq.ParquetFile(path).num_row_groups > 1
    row = table.to_pylist()[-1]
    assert decode_batch(row["records"])[1].key == b"k"
    assert (row["producer_id"], row["producer_epoch"], row["base_sequence"], row["attributes"]) == (7, 1, 4, 0)
    assert row["leader_epoch"] == 3
    records = pq.ParquetFile(path).metadata.row_group(0).column(11)
    assert records.compression == "UNCOMPRESSED"
    assert not records.is_stats_set
    assert not records.has_dictionary_page


def test_several_parts_of_one_partition_stand_in_order() -> None:
    built = build(part([1, 2], base_offset=4, leader_epoch=5), part([3, 4], leader_epoch=3))
    assert [(f.extent.base_offset, f.extent.leader_epoch, f.extent.first_row) for f in built.flushed] == [
        (0, 3, 0),
        (4, 5, 2),
    ]


def test_the_same_parts_give_the_same_bytes() -> None:
    parts = [part([100, 2000], topic=topic, producers=(PRODUCER,)) for topic in (1, 2)]
    assert build(*parts).body == build(*reversed(parts)).body


def test_producers_come_back() -> None:
    footer, _ = read(build(part([1], producers=(PRODUCER, ProducerEntry(8, 0, ())))))
    assert footer.flushed[0].producers == (PRODUCER, ProducerEntry(8, 0, ()))


def test_what_knows_no_transaction_is_written_as_before() -> None:
    footer, _ = read(build(part([1], producers=(PRODUCER,))))
    assert footer.version == 1


def test_transactions_come_back() -> None:
    gone = AbortedTransaction(7, 3, 11), AbortedTransaction(8, 5, 12)
    entries = (replace(PRODUCER, coordinator_epoch=4), replace(PRODUCER, producer_id=8, transaction_first_offset=6))
    parts = [part([1]), replace(part([1], topic=2, producers=entries), aborted=gone), part([1], topic=3)]
    footer, _ = read(build(*parts))
    assert footer.version == 2
    assert [one.producers for one in footer.flushed] == [(), entries, ()]
    assert [one.extent.aborted for one in footer.flushed] == [(), gone, ()]


def test_extents_alone_are_read_too() -> None:
    async def main() -> None:
        store = MemoryObjectStore()
        built = build(part([1, 2], producers=(PRODUCER,)), part([3], topic=2))
        await store.create(KEY, built.body)
        assert await read_extents(store, KEY) == built.flushed

    asyncio.run(main())


def test_what_no_flush_may_ask_for_is_refused() -> None:
    gap = part([1, 2])
    stamp(gap.batches[1], 5, 3)  # type: ignore[arg-type]
    for bad in (
        [],
        [part([])],
        [gap],
        [SegmentPart(part([1]).partition, 4, part([1]).batches)],
        [SegmentPart(part([1]).partition, 3, [part([1]).batches[0][:70]])],
        [SegmentPart(part([1]).partition, 3, [b"x" * 60])],
    ):
        with pytest.raises(ValueError):
            build(*bad)


def test_a_large_footer_takes_two_reads() -> None:
    chance = random.Random(5)
    producers = [ProducerEntry(chance.getrandbits(60), 0, ((0, 1, 0, chance.getrandbits(40)),)) for _ in range(5000)]
    built = build(part([1, 1], producers=tuple(producers)))
    footer, ranges = read(built)
    assert footer_bytes(KEY, built.body) > 64 << 10
    assert len(ranges) == 2
    assert footer.flushed == built.flushed


class TestPlan:
    """Batches of two records from offset 10: 10-11, 12-13, 14-15, 16-17, 18-19."""

    built = build(
        part([40] * 3, topic=0),
        part([100] * 5, base_offset=10, timestamps=[50, 90, 70, 90, 95]),
        row_group_bytes=400,
    )
    extent = built.flushed[1].extent
    index = built.footer.index
    size = len(part([100], base_offset=10).batches[0])

    def offsets(self, offset: int, max_bytes: int, upto: int, at_least_one: bool = False) -> list[int]:
        return [span.base_offset for span in self.index.plan(self.extent, offset, max_bytes, upto, at_least_one)]

    def test_it_begins_with_the_batch_that_contains_the_offset(self) -> None:
        for offset, first in ((10, 10), (11, 10), (12, 12), (19, 18), (3, 10)):
            assert self.offsets(offset, 10_000, 20)[0] == first
        assert self.offsets(20, 10_000, 30, True) == []

    def test_it_stays_below_the_end_asked_for(self) -> None:
        assert self.offsets(10, 10_000, 14, True) == [10, 12]
        assert self.offsets(10, 10_000, 15, True) == [10, 12]
        assert self.offsets(10, 10_000, 10, True) == []

    def test_it_keeps_to_the_bytes_but_for_one_batch_when_asked(self) -> None:
        spans = self.index.plan(self.extent, 10, 10_000, 20, False)
        assert self.offsets(10, spans[0].size + spans[1].size, 20) == [10, 12]
        assert self.offsets(10, spans[0].size + spans[1].size - 1, 20) == [10]
        assert self.offsets(10, spans[0].size - 1, 20) == []
        assert self.offsets(10, 0, 20, True) == [10]

    def test_it_finds_timestamps(self) -> None:
        def found(timestamp: int, offset: int = 0) -> int | None:
            span = self.index.first_batch_with_timestamp(self.extent, timestamp, offset)
            return None if span is None else span.base_offset

        assert (found(0), found(51), found(90), found(91), found(96)) == (10, 12, 12, 18, None)
        assert (found(51, 13), found(51, 14), found(51, 20)) == (12, 14, None)
        assert self.index.batch_with_max_timestamp(self.extent).base_offset == 18

    def test_an_extent_of_another_segment_is_corrupt(self) -> None:
        for wrong in (
            replace(self.extent, first_row=0),
            replace(self.extent, first_row=-1),
            replace(self.extent, batches=6),
            replace(self.extent, batches=0),
            replace(self.extent, last_offset=18),
        ):
            with pytest.raises(Corrupt, match=KEY):
                self.index.plan(wrong, 10, 100, 20, True)


def test_a_missing_segment_is_not_found() -> None:
    with pytest.raises(NotFound):
        asyncio.run(read_footer(MemoryObjectStore(), KEY))


def test_a_newer_format_names_the_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    built = build(part([1]))
    monkeypatch.setattr(footer_module, "FORMAT", 0)
    with pytest.raises(BadStart, match=KEY):
        read(built)


def test_other_files_are_corrupt_segments(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    other = (tmp_path / "other.parquet").read_bytes()
    for body in (b"", b"PAR1", b"x" * 100, other, other[:-1], json.dumps({}).encode() * 10):
        with pytest.raises(Corrupt, match=KEY):
            parse_footer(KEY, body)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_footer_is_told_or_harmless(data: st.DataObject) -> None:
    built = build(part([10, 20], producers=(PRODUCER,)), part([30], topic=2))
    size = footer_bytes(KEY, built.body)
    tail = bytearray(built.body[-size:])
    cut = data.draw(st.integers(0, 3))
    for _ in range(data.draw(st.integers(1, 3))):
        tail[data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 255))
    try:
        footer = parse_footer(KEY, tail[cut:])
    except (Corrupt, BadStart) as error:
        told = error.message
    else:
        told = KEY if (footer.flushed, len(footer.index)) == (built.flushed, 3) else "something else"
    assert KEY in told


def test_a_first_segment_imports_nothing_more() -> None:
    """A new node's first acknowledgement waits for it: what these two import is a twentieth of a start."""
    script = """
import sys

class NoPandas:  # as in a node's image; pyarrow would import it, and it imports everything
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoPandas)
import cauce.serving
from tests.segment.parts import part
from infra.partition import SessionId
from infra.segment.batch_segment import build_batch_segment

made = part([1])
assert not {"pyarrow.compute", "numpy.ma"} & set(sys.modules)
build_batch_segment("batches/0000000001/0000000002/0000000003.parquet", "cluster-1", SessionId(1, 2), [made])
print(sorted({"pyarrow.compute", "numpy.ma"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
