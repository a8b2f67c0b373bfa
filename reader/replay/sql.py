"""SQL over topics: DuckDB reads them through datasets, which take columns and filters that DuckDB pushes down."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import duckdb
import pyarrow as pa

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.replay.dataset import TopicDataset
from reader.replay.duckdb import arrow_reader, connect

OpenTopic = Callable[[str], TopicDataset]
"""The dataset (`TEXT`) of a topic as it stands now."""


class Answer:
    """What one statement answers: read it once, before the next is run."""

    def __init__(self, rows: pa.RecordBatchReader) -> None:
        self.schema: pa.Schema = rows.schema
        self._rows = rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, as DuckDB makes them. Raises `Refused` with DuckDB's words."""
        try:
            yield from self._rows
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise _refused(error) from error


class SqlSession:
    """Statements one after another. Topics that one names become views; tables of the session's own come first."""

    def __init__(self, topics: Callable[[], Iterable[str]], open_topic: OpenTopic, *, memory: str = "1GB") -> None:
        """`topics`: the names that there are. `memory`: what DuckDB may use; beyond it it writes to the disk."""
        try:
            self._duckdb: Any = connect(memory=memory)
        except duckdb.Error as error:
            raise _refused(error) from error
        self._topics = topics
        self._open_topic = open_topic
        self._open: dict[str, TopicDataset] = {}

    def statements(self, text: str) -> list[str]:
        """Split at semicolons. Raises `Refused` for what is no SQL."""
        try:
            return [one.query for one in self._duckdb.extract_statements(text)]
        except duckdb.Error as error:
            raise _refused(error) from error

    def run(self, statement: str) -> Answer:
        """Run one statement; topics are read up to where they end now. Raises `Refused` with DuckDB's words."""
        self._forget()
        self._register(statement)
        try:
            return Answer(arrow_reader(self._duckdb, statement))
        except duckdb.Error as error:
            raise _refused(error) from error

    def close(self) -> None:
        """Give everything back."""
        self._forget()
        self._duckdb.close()

    def _register(self, statement: str) -> None:
        own = {row[0] for row in self._duckdb.execute("select table_name from duckdb_tables()").fetchall()}
        named = self._names(statement)
        if named is not None and named <= own:
            return
        for name in set(self._topics()) - own:
            if name in (statement if named is None else named):
                self._open[name] = self._open_topic(name)
                self._duckdb.register(name, self._open[name])

    def _names(self, statement: str) -> set[str] | None:
        """Tables that the statement reads. None when DuckDB cannot tell before it knows their columns."""
        cursor = self._duckdb.cursor()
        try:
            return set(cursor.get_table_names(statement))
        except duckdb.Error:
            return None
        finally:
            cursor.close()

    def _forget(self) -> None:
        for name, dataset in self._open.items():
            self._duckdb.unregister(name)
            dataset.close()
        self._open.clear()


def _refused(error: Exception) -> Refused:
    return Refused(ErrorCode.INVALID_REQUEST, str(error))
