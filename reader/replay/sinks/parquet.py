"""A folder of Parquet files. Each commit finishes a part; a part once there is never changed."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from infra.disk import OS_DISK
from reader.replay.progress import Progress, ProgressFile
from reader.replay.request import BYTES
from reader.replay.sinks.port import occupied

_ROW_GROUP_BYTES = 64 << 20  # of Arrow: what analytics engines like to read at once
_DRAFT = ".part.new"


class ParquetFolder:
    """Implements `Sink`."""

    schema = BYTES
    commit_bytes = 512 << 20

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder
        self._file = ProgressFile(folder / "_replay.json")  # engines leave names with an underscore alone
        self._parts = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def progress(self) -> Progress | None:
        kept = self._file.load()
        if kept is None:
            return None
        self._parts = int(kept.sink["parts"])
        return kept.progress

    def begin(self, schema: pa.Schema, *, resumed: bool) -> None:
        self._out = schema
        self._folder.mkdir(parents=True, exist_ok=True)
        if not resumed and any(self._folder.iterdir()):
            raise occupied(self.name)
        for path in self._folder.glob("part-*.parquet"):
            if int(path.stem.removeprefix("part-")) >= self._parts:  # finished, but the progress was not kept
                path.unlink()

    def write(self, rows: pa.RecordBatch) -> None:
        self._pending.append(rows)
        self._pending_bytes += rows.nbytes
        if self._pending_bytes >= _ROW_GROUP_BYTES:
            self._write_group()

    def commit(self, progress: Progress) -> None:
        if self._pending:
            self._write_group()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            part = self._folder / f"part-{self._parts:05d}.parquet"
            draft = self._folder / _DRAFT
            _sync(draft)
            draft.rename(part)
            OS_DISK.sync_folder(self._folder)
            self._parts += 1
        self._file.save(progress, {"parts": self._parts})

    def finish(self) -> None:
        self._file.remove()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        (self._folder / _DRAFT).unlink(missing_ok=True)

    def _write_group(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._folder / _DRAFT, self._out, compression="zstd", compression_level=1, use_dictionary=["partition"]
            )
        rows = pa.Table.from_batches(self._pending, self._out)
        self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))
        self._pending, self._pending_bytes = [], 0


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
