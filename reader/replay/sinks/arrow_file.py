"""One Arrow IPC file, to be mapped into memory by whoever reads it."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from reader.replay.progress import Progress
from reader.replay.request import BYTES
from reader.replay.sinks.unfinished import UnfinishedFile

_STREAM_BEGINS = 8  # bytes; behind the magic an IPC file is an IPC stream, until its footer


class ArrowFile:
    """Implements `Sink`."""

    schema = BYTES
    commit_bytes = 256 << 20

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._target = UnfinishedFile(path)
        self._batches = 0
        self._writer: Any = None

    def progress(self) -> Progress | None:
        kept = self._target.progress.load()
        if kept is None:
            return None
        self._batches = int(kept.sink["batches"])
        return kept.progress

    def begin(self, schema: pa.Schema, *, resumed: bool) -> None:
        if not resumed:
            self._target.check_free()
            self._open(self._target.partial, schema)
            return
        # A file that lacks its footer cannot be continued: what counts of it moves to a new one.
        draft = self._target.partial.with_name(self._target.partial.name + ".new")
        self._open(draft, schema)
        with pa.memory_map(str(self._target.partial)) as file:
            file.seek(_STREAM_BEGINS)
            stream = pa.ipc.open_stream(file)
            for _ in range(self._batches):
                self._writer.write_batch(stream.read_next_batch())
        self._file.flush()
        draft.replace(self._target.partial)

    def write(self, rows: pa.RecordBatch) -> None:
        self._writer.write_batch(rows)
        self._batches += 1

    def commit(self, progress: Progress) -> None:
        self._target.sync(self._file)
        self._target.progress.save(progress, {"batches": self._batches})

    def finish(self) -> None:
        self._writer.close()
        self._target.finish(self._file)

    def close(self) -> None:
        if self._writer is not None:
            self._file.close()

    def _open(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("wb")
        self._writer = pa.ipc.new_file(self._file, schema)
