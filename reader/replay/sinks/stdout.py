"""Records to a pipe: what has been written is gone, so there is nothing to go on with."""

import sys
from typing import IO, Any

import pyarrow as pa

from reader.replay.progress import Progress
from reader.replay.request import BYTES, TEXT
from reader.replay.sinks.text_file import TextFormat


class TextPipe:
    """Implements `Sink`."""

    name = "stdout"
    schema = TEXT
    commit_bytes = 1 << 20

    def __init__(self, text_format: TextFormat, file: IO[bytes] | None = None) -> None:
        self._file = file or sys.stdout.buffer
        self._format = text_format

    def progress(self) -> Progress | None:
        return None

    def begin(self, schema: pa.Schema, *, resumed: bool) -> None:
        self._file.write(self._format.head(schema))

    def write(self, rows: pa.RecordBatch) -> None:
        self._file.write(self._format.lines(rows))

    def commit(self, progress: Progress) -> None:
        self._file.flush()

    def finish(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """The pipe is not ours."""


class ArrowPipe:
    """Implements `Sink`: an Arrow IPC stream."""

    name = "stdout"
    schema = BYTES
    commit_bytes = 1 << 20

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file or sys.stdout.buffer
        self._writer: Any = None

    def progress(self) -> Progress | None:
        return None

    def begin(self, schema: pa.Schema, *, resumed: bool) -> None:
        self._writer = pa.ipc.new_stream(self._file, schema)

    def write(self, rows: pa.RecordBatch) -> None:
        self._writer.write_batch(rows)

    def commit(self, progress: Progress) -> None:
        self._file.flush()

    def finish(self) -> None:
        self._writer.close()
        self._file.flush()

    def close(self) -> None:
        """The pipe is not ours."""
