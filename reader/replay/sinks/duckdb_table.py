"""A table in a DuckDB file. The progress stands in the same file and changes in the same transaction as the rows."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.replay.duckdb import connect
from reader.replay.progress import Progress
from reader.replay.request import TEXT
from reader.replay.sinks.port import occupied

_PROGRESS = "_cauce_replay"
_INSERT_BYTES = 32 << 20  # of Arrow: DuckDB likes row groups of 122,880 rows


class DuckdbTable:
    """Implements `Sink`."""

    schema = TEXT
    commit_bytes = 256 << 20

    def __init__(self, path: Path, table: str) -> None:
        """Opens the file, or makes it. Raises `Refused` when it is no DuckDB file, or is open elsewhere."""
        self.name = f"table {table!r} of {path}"
        self._table = table
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._duckdb: Any = connect(str(path))
        except duckdb.Error as error:
            raise Refused(
                ErrorCode.INVALID_REQUEST, f"{path} cannot be opened: {str(error).splitlines()[0]}"
            ) from error
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._in_transaction = False

    def progress(self) -> Progress | None:
        if not self._exists(_PROGRESS):
            return None
        rows = self._duckdb.execute(f"select progress from {_PROGRESS} where name = ?", [self._table]).fetchall()
        return Progress.decode(json.loads(rows[0][0]), self.name) if rows else None

    def begin(self, schema: pa.Schema, *, resumed: bool) -> None:
        if not resumed:
            if self._exists(self._table):
                raise occupied(self.name)
            self._duckdb.execute(f"create table if not exists {_PROGRESS} (name varchar primary key, progress varchar)")
            self._duckdb.register("_rows", schema.empty_table())
            self._duckdb.execute(f"create table {_quoted(self._table)} as select * from _rows")

    def write(self, rows: pa.RecordBatch) -> None:
        self._pending.append(rows)
        self._pending_bytes += rows.nbytes
        if self._pending_bytes >= _INSERT_BYTES:
            self._insert()

    def commit(self, progress: Progress) -> None:
        self._insert()
        self._duckdb.execute(
            f"insert or replace into {_PROGRESS} values (?, ?)", [self._table, json.dumps(progress.encode())]
        )
        self._duckdb.execute("commit")
        self._in_transaction = False

    def finish(self) -> None:
        self._duckdb.execute(f"delete from {_PROGRESS} where name = ?", [self._table])
        if not self._duckdb.execute(f"select count(*) from {_PROGRESS}").fetchone()[0]:
            self._duckdb.execute(f"drop table {_PROGRESS}")

    def close(self) -> None:
        self._duckdb.close()  # rows without a commit are gone with it

    def _insert(self) -> None:
        if not self._in_transaction:
            self._duckdb.execute("begin transaction")
            self._in_transaction = True
        if self._pending:
            self._duckdb.register("_rows", pa.Table.from_batches(self._pending))
            self._duckdb.execute(f"insert into {_quoted(self._table)} select * from _rows")
            self._duckdb.unregister("_rows")
            self._pending, self._pending_bytes = [], 0

    def _exists(self, table: str) -> bool:
        found = self._duckdb.execute("select 1 from duckdb_tables() where table_name = ?", [table]).fetchall()
        return bool(found)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
