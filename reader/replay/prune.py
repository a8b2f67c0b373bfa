"""Which row groups can hold a record that a filter lets through, by what footers say of them.

Arrow decides: each group becomes a fragment that promises what its statistics say, and a dataset of them is asked which
fragments are left under the filter. Nothing is opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as fs

from infra.cluster.manifest_record import RowGroup
from infra.segment.record_footer import timestamp_range
from reader.replay.request import TIMESTAMP, all_of

Range = tuple[Any, Any]  # least and greatest, inclusive

_FORMAT = ds.ParquetFileFormat()
_NOWHERE = fs.LocalFileSystem()  # fragments need one; no fragment is ever read


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What is known of a row group without reading it."""

    base_offset: int
    last_offset: int
    timestamps: Range | None = None  # ms
    keys: Range | None = None  # bytes; of those keys that are not null


class Pruner:
    """Prunes for one filter (None: nothing is pruned) over one schema (`BYTES` or `TEXT`)."""

    def __init__(self, schema: pa.Schema, expression: Any) -> None:
        self._schema = schema
        self._expression = expression

    def kept(self, partition: int, groups: Sequence[GroupFacts]) -> list[int]:
        """Numbers, ascending, of the groups that may hold a record that passes."""
        if self._expression is None:
            return list(range(len(groups)))
        fragments = [
            _FORMAT.make_fragment(
                str(number), filesystem=_NOWHERE, partition_expression=self._promise(partition, group)
            )
            for number, group in enumerate(groups)
        ]
        dataset = ds.FileSystemDataset(fragments, self._schema, _FORMAT, _NOWHERE)
        return sorted(int(fragment.path) for fragment in dataset.get_fragments(filter=self._expression))

    def _promise(self, partition: int, group: GroupFacts) -> Any:
        promises = [
            pc.field("partition") == pa.scalar(partition, pa.int32()),
            pc.field("offset") >= pa.scalar(group.base_offset, pa.int64()),
            pc.field("offset") <= pa.scalar(group.last_offset, pa.int64()),
        ]
        if group.timestamps is not None:
            least, greatest = group.timestamps
            promises += [
                pc.field("timestamp") >= pa.scalar(least, TIMESTAMP),
                pc.field("timestamp") <= pa.scalar(greatest, TIMESTAMP),
            ]
        if group.keys is not None:
            promises += self._key_promises(*group.keys)
        return all_of(promises)

    def _key_promises(self, least: bytes, greatest: bytes) -> list[Any]:
        kind = self._schema.field("key").type
        if kind == pa.string():
            try:
                low, high = pa.scalar(least.decode(), kind), pa.scalar(greatest.decode(), kind)
            except UnicodeDecodeError:
                return []
        else:
            low, high = pa.scalar(least, kind), pa.scalar(greatest, kind)
        key = pc.field("key")
        null = key.is_null(nan_is_null=False)
        return [(key >= low) | null, (key <= high) | null]  # in this form Arrow knows that nulls are possible


def facts_of(group: RowGroup, number: int, metadata: Any) -> GroupFacts:
    """What the manifest and the footer (`pyarrow.parquet.FileMetaData`) say of a row group."""
    row_group = metadata.row_group(number)
    keys: Range | None = None
    for at in range(row_group.num_columns):
        column = row_group.column(at)
        if column.path_in_schema == "key":
            found = column.statistics
            if found is not None and found.has_min_max:
                keys = (found.min_raw, found.max_raw)
    return GroupFacts(group.base_offset, group.last_offset, timestamp_range(metadata, number), keys)
