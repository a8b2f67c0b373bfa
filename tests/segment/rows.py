"""Rows of a record segment, and segments made of them."""

import random
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pyarrow as pa

from infra.cluster.manifest_record import RecordSegment, RowGroup
from infra.partition import PartitionId
from infra.records.columns import RECORDS
from infra.records.record import Record
from infra.segment.record_footer import RecordFooter, SegmentFacts, parse_record_footer
from infra.segment.record_segment import RecordSegmentWriter

FACTS = SegmentFacts("cluster-1", "täglich", PartitionId(UUID(int=7), 3), ("batches/1/2/3.parquet",))


def table(records: Sequence[Record]) -> pa.Table:
    """RECORDS."""
    columns = [
        [record.offset for record in records],
        [record.timestamp for record in records],
        [record.key for record in records],
        [record.value for record in records],
        [[{"key": key, "value": value} for key, value in record.headers] for record in records],
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, RECORDS, strict=True)], schema=RECORDS)


def some_records(count: int, *, first: int = 0, size: int = 100, step: int = 1) -> list[Record]:
    """Records of every kind: with and without key, value and headers, text and other bytes."""
    chance = random.Random(first * 31 + count)
    records = []
    for number in range(count):
        text = f'{{"number":{number},"word":"ñ{chance.getrandbits(8 * size // 2):x}"}}'.encode()
        value = [text, text, None, b"\xff\xfe" + text, b""][number % 5 if number % 7 else 0]
        headers = ((b"a", b"1"), (b"\xff", None))[: number % 3]
        key = f"key-{number % 13}".encode() if number % 4 else None
        records.append(Record(first + step * number, 1_000_000 + 3 * number - number % 2, key, value, headers))
    return records


class Segment:
    """A closed record segment: what its manifest says, its bytes and its footer."""

    def __init__(self, manifest: RecordSegment, body: bytes) -> None:
        self.manifest = manifest
        self.body = body
        self.footer: RecordFooter = parse_record_footer(manifest.key, body)

    def data(self, group: RowGroup) -> memoryview:
        """What a range GET of a row group brings."""
        return memoryview(self.body)[group.position : group.position + group.size]


def segment(
    path: Path,
    tables: Sequence[pa.Table],
    *,
    base_offset: int = 0,
    last_offset: int = 999_999,
    row_group_bytes: int = 1 << 20,
    value_format: str = "bytes",
    unreadable: Sequence[bytes] = (),
    microseconds: bool = False,
) -> Segment:
    """A record segment of these rows."""
    writer = RecordSegmentWriter(
        path, FACTS, row_group_bytes=row_group_bytes, value_format=value_format, microseconds=microseconds
    )
    for rows in tables:
        writer.write(rows)
    writer.keep_unreadable(unreadable)
    closed = writer.close("records/some-key.parquet", base_offset, last_offset)
    return Segment(closed, path.read_bytes())
