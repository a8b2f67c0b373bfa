"""Rows of a record segment from the bytes of a range GET, without a file: a whole row group, or some of its columns.

Every column chunk is checked against its CRC before a decoder sees it. Must not know of stores or caches.
"""

import io
from collections.abc import Sequence
from dataclasses import replace

import crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from infra.cluster.manifest_record import RowGroup
from infra.errors import Corrupt
from infra.records.columns import RECORDS
from infra.segment.record_columns import from_stored, stored_names
from infra.segment.record_footer import RecordFooter
from infra.segment.record_seal import chunk_ranges
from infra.store.port import Buffer


def narrow_row_group(footer: RecordFooter, number: int, columns: Sequence[str]) -> RowGroup:
    """The part of a row group that holds these columns of RECORDS: one range, which `read_rows` takes as well.

    Offset, timestamp and key stand first and are a small part of most groups.
    """
    ranges = [chunk_ranges(footer.metadata, number)[at] for at in _leaves(footer, columns)]
    begin = min(position for position, _ in ranges)
    end = max(position + size for position, size in ranges)
    return replace(footer.row_groups[number], position=begin, size=end - begin)


def read_rows(
    footer: RecordFooter, number: int, group: RowGroup, data: Buffer, columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows of row group `number`, from the bytes that lie at `group`'s position in the object: all columns of
    RECORDS or those named, in that order. For a thread: decodes without the GIL.

    Raises `Corrupt`, naming the object, for bytes that are not what was written and for a group of another segment.
    """
    names = RECORDS.names if columns is None else list(columns)
    _check_group(footer, number, group, data)
    _check_chunks(footer, number, group, data, columns)
    file = pa.PythonFile(_Range(footer, group, data), "r")
    try:
        parquet = pq.ParquetFile(file, metadata=footer.metadata, pre_buffer=False)
        table = parquet.read_row_group(number, stored_names(footer.value_format, names), use_threads=False)
        return from_stored(table, names)
    except (OSError, ValueError, pa.ArrowNotImplementedError) as error:
        raise Corrupt(f"{footer.key}: row group {number} cannot be read: {error}") from error


def _check_group(footer: RecordFooter, number: int, group: RowGroup, data: Buffer) -> None:
    if not 0 <= number < len(footer.row_groups):
        raise Corrupt(f"{footer.key} has {len(footer.row_groups)} row groups, none is number {number}")
    known = footer.row_groups[number]
    if (group.base_offset, group.last_offset) != (known.base_offset, known.last_offset):
        raise Corrupt(
            f"{footer.key}: row group {number} holds offsets {known.base_offset} to {known.last_offset}, "
            f"not {group.base_offset} to {group.last_offset}"
        )
    if len(data) != group.size:
        raise Corrupt(f"{footer.key}: {len(data)} bytes came instead of the {group.size} of row group {number}")


def _check_chunks(
    footer: RecordFooter, number: int, group: RowGroup, data: Buffer, columns: Sequence[str] | None
) -> None:
    """All chunks, or those of some columns."""
    view = memoryview(data)
    ranges = chunk_ranges(footer.metadata, number)
    for at in range(len(ranges)) if columns is None else _leaves(footer, columns):
        position, size = ranges[at]
        begin = position - group.position
        if begin < 0 or begin + size > len(view):
            raise Corrupt(f"{footer.key}: row group {number} is not where {group.position}+{group.size} says")
        if crc32c.crc32c(view[begin : begin + size]) != footer.checksums[number][at]:
            raise Corrupt(f"{footer.key}: the CRC-32C of column {at} in row group {number} is another one")


def _leaves(footer: RecordFooter, columns: Sequence[str]) -> list[int]:
    """Numbers of the Parquet columns that hold these columns of RECORDS."""
    wanted = set(stored_names(footer.value_format, columns))
    schema = footer.metadata.schema
    return [at for at in range(len(schema)) if schema.column(at).path.partition(".")[0] in wanted]


class _Range(io.RawIOBase):
    """A file of which one range is there. Arrow asks it once a column chunk, and gets the bytes where they lie."""

    def __init__(self, footer: RecordFooter, group: RowGroup, data: Buffer) -> None:
        super().__init__()
        self._data = memoryview(data)
        self._begin = group.position
        self._size = max(one.position + one.size for one in footer.row_groups)
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        self._at = position + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> memoryview:
        begin = self._at - self._begin
        if begin < 0 or size < 0 or begin + size > len(self._data):
            raise OSError(f"{size} bytes at {self._at} are outside of the range")
        self._at += size
        return self._data[begin : begin + size]

    def read_buffer(self, size: int) -> pa.Buffer:
        """What Arrow calls for bytes that it need not copy."""
        return pa.py_buffer(self.read(size))
