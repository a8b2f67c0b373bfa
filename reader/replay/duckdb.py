"""DuckDB as we use it: nothing is loaded from the network, times are UTC, results come as Arrow."""

from typing import Any

import duckdb
import pyarrow as pa

_BATCH_ROWS = 16_384


def connect(database: str = ":memory:", *, threads: int | None = None, memory: str | None = None) -> Any:
    """A connection that has its built-in extensions only; `memory` as DuckDB writes it (`1GB`)."""
    config: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    if threads is not None:
        config["threads"] = str(threads)
    if memory is not None:
        config["memory_limit"] = memory
    connection = duckdb.connect(database, config=config)
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set preserve_insertion_order = true")
    return connection


def arrow_reader(connection: Any, statement: str, rows: int = _BATCH_ROWS) -> pa.RecordBatchReader:
    """What a statement answers, as a stream of batches of so many rows; nothing at all for one that answers none."""
    answer = connection.sql(statement)
    if answer is None:
        return pa.RecordBatchReader.from_batches(pa.schema([]), [])
    to_reader = getattr(answer, "to_arrow_reader", None) or answer.fetch_arrow_reader  # older releases call it so
    return to_reader(rows)
