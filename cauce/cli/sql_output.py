"""What `cauce sql` prints of an answer: a table for people, CSV or JSON lines for programs, in bounded memory."""

import sys
from collections.abc import Callable

import pyarrow as pa
import pyarrow.csv as csv
from rich.console import Console
from rich.table import Table

from reader.replay.duckdb import arrow_reader, connect
from reader.replay.sinks.text_formats import joined_lines
from reader.replay.sql import Answer

FORMATS = ("table", "csv", "json")
_MOST_ROWS = 1000  # of a table: what nobody reads to its end is better asked for in another format


def shower(file_format: str) -> Callable[[Answer], None]:
    """What prints answers in one of `FORMATS`."""
    return {"table": _table, "csv": _csv, "json": _json}[file_format]


def _table(answer: Answer) -> None:
    names = answer.schema.names
    table = Table(box=None, pad_edge=False)
    for field in answer.schema:
        table.add_column(field.name, justify="right" if _is_number(field.type) else "left", overflow="fold")
    missing = _MOST_ROWS
    for batch in answer.batches():
        texts = _texts(batch.slice(0, missing))
        for row in zip(*(texts.column(at).to_pylist() for at in range(len(names))), strict=True):
            table.add_row(*("" if text is None else text for text in row))
        missing -= batch.num_rows
        if missing < 0:
            break
    Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False).print(table)
    if missing < 0:
        print(f"… the first {_MOST_ROWS:,} rows; --format csv or json prints all", file=sys.stderr)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _csv(answer: Answer) -> None:
    out = sys.stdout.buffer
    head = pa.schema([pa.field(name, pa.string()) for name in answer.schema.names])
    csv.write_csv(head.empty_table(), out)
    for batch in answer.batches():
        csv.write_csv(_texts(batch, numbers=False), out, csv.WriteOptions(include_header=False))
    out.flush()


def _json(answer: Answer) -> None:
    out = sys.stdout.buffer
    for batch in answer.batches():
        names = [
            f"{name}_{at}" if name in batch.schema.names[:at] else name for at, name in enumerate(batch.schema.names)
        ]
        lines = _ask("select to_json(rows) from rows", batch.rename_columns(names))
        out.write(joined_lines(lines.column(0).combine_chunks()))
    out.flush()


def _texts(rows: pa.RecordBatch, *, numbers: bool = True) -> pa.Table:
    """Every column as DuckDB writes it; numbers as numbers unless their texts are wanted too."""
    names = [f"c{at}" for at in range(rows.num_columns)]
    as_they_are = {
        name for name, field in zip(names, rows.schema, strict=True) if not numbers and _is_number(field.type)
    }
    wanted = ", ".join(name if name in as_they_are else f"{name}::varchar" for name in names)
    return _ask(f"select {wanted} from rows", rows.rename_columns(names))


def _ask(statement: str, rows: pa.RecordBatch) -> pa.Table:
    with connect(threads=1) as duckdb:
        duckdb.register("rows", pa.Table.from_batches([rows]))
        return arrow_reader(duckdb, statement).read_all()
