"""A topic as a pyarrow dataset, so that DuckDB, Polars and whatever else scans datasets push columns and filters down.

Each scan is a stream of its own over the same records: those that were there when the dataset was made.
"""

# ruff: noqa: A002 - the names of parameters are pyarrow's

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.replay.request import BYTES
from reader.replay.selection import Selection
from reader.replay.session import ReplaySession


class TopicScanner:
    """One scan; each call that reads makes a stream of its own."""

    def __init__(self, session: ReplaySession, selection: Selection) -> None:
        self._session = session
        self._selection = selection

    @property
    def projected_schema(self) -> pa.Schema:
        """What comes out."""
        return self._selection.out

    def to_reader(self) -> pa.RecordBatchReader:
        """As a stream."""
        return self._session.reader(self._selection)

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """As record batches."""
        yield from self.to_reader()

    def to_table(self) -> pa.Table:
        """All of it in memory."""
        return self.to_reader().read_all()

    def head(self, num_rows: int) -> pa.Table:
        """The first rows."""
        found: list[pa.RecordBatch] = []
        missing = num_rows
        reader = self.to_reader()
        while missing > 0 and (batch := next(reader, None)) is not None:
            found.append(batch.slice(0, missing))
            missing -= found[-1].num_rows
        return pa.Table.from_batches(found, self._selection.out)

    def count_rows(self) -> int:
        """How many rows there are."""
        return sum(batch.num_rows for batch in self.to_reader())


class TopicDataset(ds.Dataset):  # type: ignore[misc]
    """The records of a topic. Not made of files that Arrow knows, so what lists or changes files is refused."""

    def __init__(self, session: ReplaySession, schema: pa.Schema = BYTES) -> None:
        """`schema`: `BYTES` or `TEXT`."""
        self._session = session
        self._topic_schema = schema

    def __repr__(self) -> str:
        return f"TopicDataset({self._session.facts.topic})"

    @property
    def schema(self) -> pa.Schema:
        """Columns of the topic."""
        return self._topic_schema

    @property
    def partition_expression(self) -> Any:
        """Nothing is known of all records."""
        return pc.scalar(True)

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> TopicScanner:
        """A scan of some columns and of the records that pass the filter (an expression); other options do nothing."""
        base = self._session.request.filter(self._topic_schema)
        both = filter if base is None else base if filter is None else base & filter
        chosen = None if columns is None else tuple(columns)
        if chosen is not None and (unknown := set(chosen) - set(self._topic_schema.names)):
            raise KeyError(f"there is no column {min(unknown)!r}")
        return TopicScanner(self._session, Selection(self._topic_schema, chosen, both))

    def to_table(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> pa.Table:
        """All of it in memory."""
        return self.scanner(columns, filter).to_table()

    def to_batches(
        self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any
    ) -> Iterator[pa.RecordBatch]:
        """As record batches."""
        return self.scanner(columns, filter).to_batches()

    def head(self, num_rows: int, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> pa.Table:
        """The first rows."""
        return self.scanner(columns, filter).head(num_rows)

    def take(self, indices: Any, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> pa.Table:
        """Rows by their numbers in the order of a scan."""
        return self.to_table(columns, filter).take(indices)

    def count_rows(self, filter: Any = None, **_: Any) -> int:
        """How many records pass."""
        return self.scanner(["partition"], filter).count_rows()

    def close(self) -> None:
        """Give back connections and threads; else that happens when nothing uses them any longer."""
        self._session.close()

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise Refused(
            ErrorCode.INVALID_REQUEST, "a topic's dataset can only be scanned; read it to a table or query it with SQL"
        )

    # What Arrow does in C++ with datasets of its own kinds.
    filter = sort_by = join = join_asof = replace_schema = get_fragments = _refuse
    _get_fragments = _scanner_options = _scan_options = __setstate__ = __reduce__ = _refuse
