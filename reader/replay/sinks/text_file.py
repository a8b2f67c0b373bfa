"""CSV and JSON lines, in one file that grows. What is behind the last commit is cut off when a replay goes on."""

from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa

from reader.replay.progress import Progress
from reader.replay.request import TEXT
from reader.replay.sinks.unfinished import UnfinishedFile


class TextFormat(Protocol):
    """Turns rows (`TEXT`) into bytes."""

    def head(self, schema: pa.Schema) -> bytes:
        """What stands before all rows."""

    def lines(self, rows: pa.RecordBatch) -> pa.Buffer | bytes:
        """A line a row."""


class TextFile:
    """Implements `Sink`."""

    schema = TEXT
    commit_bytes = 128 << 20

    def __init__(self, path: Path, text_format: TextFormat) -> None:
        self.name = str(path)
        self._target = UnfinishedFile(path)
        self._format = text_format
        self._kept_bytes = 0
        self._file: IO[bytes] | None = None

    def progress(self) -> Progress | None:
        kept = self._target.progress.load()
        if kept is None:
            return None
        self._kept_bytes = int(kept.sink["bytes"])
        return kept.progress

    def begin(self, schema: pa.Schema, *, resumed: bool) -> None:
        if resumed:
            self._file = self._target.partial.open("r+b")
            self._file.truncate(self._kept_bytes)
            self._file.seek(self._kept_bytes)
        else:
            self._target.check_free()
            self._file = self._target.partial.open("wb")
            self._file.write(self._format.head(schema))

    def write(self, rows: pa.RecordBatch) -> None:
        assert self._file is not None
        self._file.write(self._format.lines(rows))

    def commit(self, progress: Progress) -> None:
        assert self._file is not None
        self._target.sync(self._file)
        self._target.progress.save(progress, {"bytes": self._file.tell()})

    def finish(self) -> None:
        assert self._file is not None
        self._target.finish(self._file)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
