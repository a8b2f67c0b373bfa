"""CSV (RFC 4180) and JSON lines. The work is DuckDB's and Arrow's, over whole batches."""

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from reader.replay.sinks.text_rows import TextRows


class Csv:
    """A head line, then a line a record; text is quoted, a null is nothing at all, headers are JSON."""

    def __init__(self) -> None:
        self._rows = TextRows()

    def head(self, schema: pa.Schema) -> bytes:
        return _csv(self._plain(schema.empty_table().to_batches(), schema), include_header=True)

    def lines(self, rows: pa.RecordBatch) -> bytes:
        return _csv(self._plain([rows], rows.schema), include_header=False)

    def _plain(self, batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
        [rows] = batches or [pa.RecordBatch.from_pylist([], schema=schema)]
        plain = self._rows.convert(rows)
        if "headers" not in plain.schema.names:
            return plain
        texts = self._rows.query("select to_json(headers) from rows", plain.select(["headers"]))
        return plain.set_column(plain.schema.get_field_index("headers"), "headers", texts)


class JsonLines:
    """An object a line; `base64` is left out where nothing is base64."""

    def __init__(self) -> None:
        self._rows = TextRows()

    def head(self, schema: pa.Schema) -> bytes:
        return b""

    def lines(self, rows: pa.RecordBatch) -> pa.Buffer | bytes:
        plain = self._rows.convert(rows)
        if "base64" in plain.schema.names and plain["base64"].null_count == plain.num_rows:
            plain = plain.drop_columns(["base64"])
        return joined_lines(self._rows.query("select to_json(rows) from rows", plain))


def joined_lines(texts: pa.Array) -> pa.Buffer | bytes:
    """Strings, each with a line end behind it, as one buffer."""
    if not len(texts):
        return b""
    lines = pc.binary_join_element_wise(texts, "", "\n")
    _, offsets, data = lines.buffers()
    end = memoryview(offsets).cast("i")[lines.offset + len(lines)]
    begin = memoryview(offsets).cast("i")[lines.offset]
    return data.slice(begin, end - begin)


def _csv(rows: pa.RecordBatch, *, include_header: bool) -> bytes:
    out = io.BytesIO()
    csv.write_csv(rows, out, csv.WriteOptions(include_header=include_header))
    return out.getvalue()
