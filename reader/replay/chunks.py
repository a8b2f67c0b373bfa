"""What is read of a row group for the columns that are needed: with few of them, far from all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.cluster.manifest_record import RowGroup
from infra.segment.record_footer import RecordFooter
from infra.segment.record_rows import narrow_row_group


@dataclass(frozen=True, slots=True)
class StoredChunks:
    """Columns of one row group."""

    group: RowGroup  # with position and size of what has to be read
    columns: tuple[str, ...]  # of RECORDS; none when only the number of records is needed
    records: int
    weight: int  # bytes in memory while it is read: compressed and decoded

    @classmethod
    def of(cls, footer: RecordFooter, number: int, group: RowGroup, columns: Sequence[str]) -> "StoredChunks":
        """From what the footer says of row group `number`."""
        row_group = footer.metadata.row_group(number)
        if not columns:
            return cls(group, (), row_group.num_rows, 0)
        read = narrow_row_group(footer, number, columns)
        decoded = row_group.total_byte_size * read.size // max(1, group.size)
        return cls(read, tuple(columns), row_group.num_rows, read.size + decoded)
