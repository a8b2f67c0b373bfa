"""Tells whether two readings of a topic are the same to the record: a digest of each partition that does not depend on
how the rows were cut into batches or in which order partitions came."""

from dataclasses import dataclass

import duckdb
import pyarrow as pa

_QUERY = """
    select "partition", count(*), min("offset"), max("offset"),
           sum(hash("offset", epoch_ms("timestamp"), key::blob, value::blob)::hugeint)
    from rows group by 1
"""


@dataclass(frozen=True, slots=True)
class PartitionDigest:
    """Of one partition: how many rows, from where to where, and the sum of their hashes."""

    rows: int
    first: int
    last: int
    hashes: int

    def with_more(self, other: "PartitionDigest") -> "PartitionDigest":
        """Of the rows of both."""
        first, last = min(self.first, other.first), max(self.last, other.last)
        return PartitionDigest(self.rows + other.rows, first, last, self.hashes + other.hashes)


class Digest:
    """Fed with tables of columns partition, offset, timestamp (UTC), key, value."""

    def __init__(self) -> None:
        self.partitions: dict[int, PartitionDigest] = {}
        self._connection = duckdb.connect()
        self._connection.execute("set timezone = 'UTC'")

    @property
    def rows(self) -> int:
        """Of all partitions."""
        return sum(one.rows for one in self.partitions.values())

    def add(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Count these rows."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self._connection.register("rows", table.select(["partition", "offset", "timestamp", "key", "value"]))
        for partition, *facts in self._connection.execute(_QUERY).fetchall():
            self.merge(partition, PartitionDigest(*map(int, facts)))

    def merge(self, partition: int, more: PartitionDigest) -> None:
        """Count rows whose digest was made elsewhere."""
        known = self.partitions.get(partition)
        self.partitions[partition] = more if known is None else known.with_more(more)
