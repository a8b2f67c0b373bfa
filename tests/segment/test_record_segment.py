"""Record segments: what is written is read again by row group, by column, by pyarrow, DuckDB and their kin."""

import tempfile
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import Corrupt
from infra.records.columns import RECORDS
from infra.records.record import Record
from infra.segment.record_columns import VALUE_FORMATS, from_stored, to_stored
from infra.segment.record_footer import parse_record_footer, timestamp_range
from infra.segment.record_rows import narrow_row_group, read_rows
from infra.segment.record_segment import MOST_ROWS, RecordSegmentWriter, TimeOutOfReach
from tests.segment.rows import FACTS, Segment, segment, some_records, table

KEY = "records/some-key.parquet"


def rows_of(found: Segment, columns: list[str] | None = None) -> pa.Table:
    groups = enumerate(found.manifest.row_groups)
    return pa.concat_tables(read_rows(found.footer, n, group, found.data(group), columns) for n, group in groups)


small = st.binary(max_size=20) | st.text(max_size=10).map(str.encode)
drawn_records = st.lists(
    st.builds(
        Record,
        st.integers(1, 40),  # steps, made into offsets below
        st.integers(-1, 2**50),
        st.none() | small,
        st.none() | small,
        st.lists(st.tuples(small, st.none() | small), max_size=3).map(tuple),
    ),
    max_size=60,
)


@settings(max_examples=80, deadline=None)
@given(
    drawn_records,
    st.sampled_from(VALUE_FORMATS),
    st.integers(1, 4000),
    st.integers(1, 20),
    st.integers(0, 9),
    st.booleans(),
)
def test_rows_come_back(
    drawn: list[Record], value_format: str, group_bytes: int, slice_rows: int, beyond: int, microseconds: bool
) -> None:
    offset, records = 100, []
    for one in drawn:
        offset += one.offset
        records.append(one._replace(offset=offset))
    rows = table(records)
    with tempfile.TemporaryDirectory() as folder:
        slices = [rows.slice(at, slice_rows) for at in range(0, len(rows) + 1, slice_rows)]
        found = segment(
            Path(folder, "s"),
            slices,
            base_offset=100,
            last_offset=offset + beyond,
            row_group_bytes=group_bytes,
            value_format=value_format,
            microseconds=microseconds,
        )
    manifest, footer = found.manifest, found.footer
    assert (manifest.base_offset, manifest.last_offset) == (100, offset + beyond)
    assert (manifest.records, manifest.size) == (len(records), len(found.body))
    assert manifest.max_timestamp == max((record.timestamp for record in records), default=-1)
    assert manifest.value_format == value_format
    assert manifest.bytes_in == sum(
        len(r.key or b"") + len(r.value or b"") + sum(len(k) + len(v or b"") for k, v in r.headers) for r in records
    )
    assert footer.row_groups == manifest.row_groups
    assert (footer.base_offset, footer.last_offset, footer.records) == (100, offset + beyond, len(records))
    if records:
        edges = [(group.base_offset, group.last_offset) for group in manifest.row_groups]
        assert edges[0][0] == 100
        assert edges[-1][1] == offset + beyond
        assert all(after[0] == before[1] + 1 for before, after in pairwise(edges))
        back = rows_of(found)
        assert back.schema == RECORDS
        assert back.equals(rows)
        for number, group in enumerate(manifest.row_groups):
            part = read_rows(footer, number, group, found.data(group), ["offset", "timestamp"])
            offsets = part["offset"].to_pylist()
            assert group.base_offset <= offsets[0] <= offsets[-1] <= group.last_offset
            times = part["timestamp"].cast(pa.int64()).to_pylist()
            assert timestamp_range(footer.metadata, number) == (min(times), max(times))


@pytest.mark.parametrize("value_format", VALUE_FORMATS)
@pytest.mark.parametrize(
    "columns", [["offset"], ["offset", "timestamp", "key"], ["value"], ["headers", "value"], ["value", "offset"]]
)
def test_some_columns_are_read_from_their_own_range(tmp_path: Path, value_format: str, columns: list[str]) -> None:
    rows = table(some_records(500))
    found = segment(tmp_path / "s", [rows], row_group_bytes=4000, value_format=value_format)
    assert len(found.manifest.row_groups) > 3
    wanted = rows.select(columns)
    assert rows_of(found, columns).equals(wanted)
    parts = []
    for number, group in enumerate(found.manifest.row_groups):
        part = narrow_row_group(found.footer, number, columns)
        assert part.size < group.size
        parts.append(read_rows(found.footer, number, part, found.data(part), columns))
        with pytest.raises(Corrupt, match=KEY):
            read_rows(found.footer, number, part, found.data(part))
    assert pa.concat_tables(parts).equals(wanted)


def test_row_groups_are_about_as_large_as_asked_for(tmp_path: Path) -> None:
    rows = [table(some_records(2000, first=2000 * at, size=400)) for at in range(4)]
    found = segment(tmp_path / "s", rows, row_group_bytes=100_000)
    sizes = [group.size for group in found.manifest.row_groups]
    assert all(80_000 < size < 120_000 for size in sizes[1:-1])  # the first one's compression is a guess
    tiny = table([Record(at, 0, None, None) for at in range(MOST_ROWS + 10)])
    found = segment(tmp_path / "s", [tiny])
    assert [group.last_offset for group in found.manifest.row_groups] == [MOST_ROWS - 1, 999_999]


def test_one_record_larger_than_a_row_group_is_one(tmp_path: Path) -> None:
    records = [Record(at, 0, b"k", bytes([at]) * 300_000) for at in range(4)]
    found = segment(tmp_path / "s", [table(records)], row_group_bytes=1000)
    assert [group.last_offset for group in found.manifest.row_groups] == [0, 1, 2, 999_999]
    assert rows_of(found).equals(table(records))


def test_the_size_so_far_is_near_the_size_in_the_end(tmp_path: Path) -> None:
    writer = RecordSegmentWriter(tmp_path / "s", FACTS, row_group_bytes=50_000)
    for at in range(6):
        writer.write(table(some_records(700, first=700 * at, size=300)))
    assert writer.records == 4200
    size = writer.size
    closed = writer.close(KEY, 0, 4199)
    assert 0.9 * closed.size < size < 1.1 * closed.size


def test_a_segment_without_records_answers_for_its_offsets(tmp_path: Path) -> None:
    found = segment(tmp_path / "s", [table([])], base_offset=5, last_offset=9)
    assert found.manifest.row_groups == ()
    assert (found.manifest.records, found.manifest.max_timestamp, found.footer.records) == (0, -1, 0)
    assert (found.footer.base_offset, found.footer.last_offset) == (5, 9)
    assert pq.read_table(tmp_path / "s").num_rows == 0


def test_what_no_compactor_may_write_is_refused(tmp_path: Path) -> None:
    for tables in ([table(some_records(3))] * 2, [table(some_records(2, first=5)), table(some_records(2))]):
        with pytest.raises(ValueError, match="ascend"):
            segment(tmp_path / "s", tables)
    for base, last in ((1, 20), (0, 8), (11, 20)):
        with pytest.raises(ValueError, match="within"):
            segment(tmp_path / "s", [table(some_records(10))], base_offset=base, last_offset=last)
    for far in (2**60, -(2**60), -(2**63)):
        with pytest.raises(TimeOutOfReach):
            segment(tmp_path / "s", [table([Record(0, far, None, None)])], microseconds=True)
        assert rows_of(segment(tmp_path / "s", [table([Record(0, far, None, None)])])).num_rows == 1
    with pytest.raises(ValueError, match="value format"):
        RecordSegmentWriter(tmp_path / "s", FACTS, value_format="avro")
    with pytest.raises(ValueError):
        segment(tmp_path / "s", [pa.table({"offset": ["no number"]})])


def test_what_is_abandoned_leaves_no_file(tmp_path: Path) -> None:
    writer = RecordSegmentWriter(tmp_path / "s", FACTS, row_group_bytes=100)
    writer.write(table(some_records(50)))
    writer.abandon()
    assert not (tmp_path / "s").exists()
    writer = RecordSegmentWriter(tmp_path / "s", FACTS)
    writer.close(KEY, 0, 5)
    writer.abandon()
    assert not (tmp_path / "s").exists()


def test_the_footer_says_what_the_segment_is(tmp_path: Path) -> None:
    unreadable = (b"\x00batch\xff", b"another")
    found = segment(tmp_path / "s", [table(some_records(5))], unreadable=unreadable, value_format="string")
    footer = found.footer
    assert (footer.key, footer.version, footer.facts) == (KEY, 1, FACTS)
    assert (footer.cluster_id, footer.topic, footer.partition) == ("cluster-1", "täglich", FACTS.partition)
    assert footer.unreadable == unreadable
    assert footer.value_format == "string"
    keys = duckdb.sql(f"select key::varchar from parquet_kv_metadata('{tmp_path / 's'}')").fetchall()
    assert ("cauce.records",) in keys


def test_the_parquet_is_as_the_design_says(tmp_path: Path) -> None:
    segment(tmp_path / "s", [table(some_records(3000))], row_group_bytes=20_000)
    metadata = pq.read_metadata(tmp_path / "s")
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(at) for at in range(group.num_columns)]
        assert {column.compression for column in columns} == {"ZSTD"}
        assert not any(column.has_dictionary_page for column in columns)
        assert all("DELTA_BINARY_PACKED" in column.encodings for column in columns[:3])
        assert [column.is_stats_set for column in columns] == [True, True, True, True, False, False, False]
        assert all(column.has_offset_index for column in columns)
        assert columns[3].statistics.max == b"key-9"
        assert group.sorting_columns == (pq.SortingColumn(1),)
    assert pq.ParquetFile(tmp_path / "s", page_checksum_verification=True).read().num_rows == 3000


@pytest.mark.parametrize("value_format", VALUE_FORMATS)
def test_analytics_engines_read_it(tmp_path: Path, value_format: str) -> None:
    path = tmp_path / "s.parquet"
    records = some_records(400)
    segment(path, [table(records)], row_group_bytes=5000, value_format=value_format)
    counted = duckdb.sql(f"select count(*), min(\"offset\"), count(key), sum(len(headers)) from '{path}'").fetchall()
    headers = sum(len(record.headers) for record in records)
    assert counted == [(400, 0, sum(record.key is not None for record in records), headers)]
    [(newest, header)] = duckdb.sql(
        f'select epoch_ms(max(timestamp)), first(headers[1]."key" order by "offset") '
        f"filter (len(headers) > 0) from '{path}'"
    ).fetchall()
    assert (newest, header) == (max(record.timestamp for record in records), b"a")
    found = ds.dataset(path).to_table(filter=ds.field("offset") >= 390)
    assert found["offset"].to_pylist() == list(range(390, 400))
    assert set(found["partition"].to_pylist()) == {FACTS.partition.partition}
    if value_format == "bytes":
        assert found["value"].to_pylist() == [record.value for record in records[390:]]
        assert pq.read_table(path).drop_columns("partition").equals(table(records))
    else:
        [(text, other)] = duckdb.sql(f"select count(value), count(value_bytes) from '{path}'").fetchall()
        values = [record.value for record in records if record.value is not None]
        assert (text, other) == (len(values) - other, sum(value[:1] == b"\xff" for value in values))
        assert duckdb.sql(f"select (value ->> '$.number')::int from '{path}' where \"offset\" = 5").fetchall() == [(5,)]


def test_polars_reads_it(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    records = some_records(300)
    segment(tmp_path / "s", [table(records)], row_group_bytes=5000)
    frame = polars.read_parquet(tmp_path / "s")
    assert frame["value"].to_list() == [record.value for record in records]
    assert frame["headers"].to_list()[2] == [{"key": b"a", "value": b"1"}, {"key": b"\xff", "value": None}]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | st.binary(max_size=6) | st.text(max_size=4).map(str.encode), max_size=8))
def test_exactly_what_is_no_utf8_is_no_text(values: list[bytes | None]) -> None:
    tricky = [
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\x80",
        b"\xe0\x9f\x80",
        b"a\n\x00\xc3\xb1",
        b"\xf0\x8f\x80\x80",
    ]
    both = [*values, *tricky]
    rows = table([Record(at, 0, None, value) for at, value in enumerate(both)])
    stored = to_stored(rows, 3, "string")

    def is_text(value: bytes) -> bool:
        try:
            return value.decode() is not None
        except UnicodeDecodeError:
            return False

    assert stored["value"].to_pylist() == [v.decode() if v is not None and is_text(v) else None for v in both]
    assert stored["value_bytes"].to_pylist() == [None if v is None or is_text(v) else v for v in both]
    assert from_stored(stored, RECORDS.names).equals(rows)


def test_segments_without_the_partition_column_are_read_still() -> None:
    body = (Path(__file__).parent / "without_partition.parquet").read_bytes()
    assert pq.read_schema(pa.BufferReader(body)).names[0] == "offset"
    footer = parse_record_footer(KEY, body)
    groups = [body[group.position : group.position + group.size] for group in footer.row_groups]
    rows = [read_rows(footer, n, footer.row_groups[n], data) for n, data in enumerate(groups)]
    assert pa.concat_tables(rows).equals(table(some_records(40, size=20)))
