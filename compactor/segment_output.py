"""Record segments on their way to the bucket: written to a local file on a thread, each PUT while the next is written.

The folder holds two files of a run at the most, the one being sent and the one being written. What was PUT by a run
that is given up is garbage; no manifest names it.
"""

import asyncio
import contextlib
import mmap
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from infra.clock import Clock
from infra.cluster.manifest_record import RecordSegment
from infra.object_key import RecordSegmentKey, new_ulid
from infra.records.columns import RECORDS
from infra.segment.record_footer import SegmentFacts
from infra.segment.record_segment import RecordSegmentWriter
from infra.store.port import Buffer, ObjectStore

LARGE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Bench:
    """Where all runs of a process write: its folder, its one thread, and how many files are sent at a time."""

    store: ObjectStore
    folder: Path
    clock: Clock
    threads: Executor
    puts: asyncio.Semaphore  # of large files: some stores' PUT takes the whole file into memory


class SegmentOutput:
    """The segments of one run, ascending and without gaps."""

    def __init__(
        self,
        bench: "Bench",
        facts: SegmentFacts,
        *,
        base_offset: int,
        value_format: str,
        rewrites: int = 0,
        microseconds: bool = False,
    ) -> None:
        """`base_offset`: where the first begins; `rewrites`: what stands in each; `microseconds`: as the writer's."""
        self._bench = bench
        self._facts = facts
        self._base_offset = base_offset
        self._value_format = value_format
        self._rewrites = rewrites
        self._microseconds = microseconds
        self._writer: RecordSegmentWriter | None = None
        self._path: Path | None = None
        self._put: asyncio.Task[None] | None = None
        self._sending: Path | None = None
        self._made: list[RecordSegment] = []

    @property
    def base_offset(self) -> int:
        """Where the open segment begins, or the next one will."""
        return self._base_offset

    def write(self, rows: pa.Table, unreadable: Sequence[Buffer]) -> int:
        """Append rows (RECORDS) and batches that have none; bytes of the open segment so far. Blocks: for a thread."""
        if self._writer is None:
            self._path = self._bench.folder / f"{self._bench.clock.token()}.parquet"
            self._writer = RecordSegmentWriter(
                self._path, self._facts, value_format=self._value_format, microseconds=self._microseconds
            )
        self._writer.write(rows)
        if unreadable:
            self._writer.keep_unreadable(unreadable)
        return self._writer.size

    async def cut(self, last_offset: int, cleaned_ms: int = -1) -> None:
        """The open segment ends with `last_offset`: finish its file and begin to send it."""
        loop = asyncio.get_running_loop()
        segment, path = await loop.run_in_executor(self._bench.threads, self._close, last_offset, cleaned_ms)
        await self._settle()
        self._made.append(segment)
        self._sending = path
        self._put = asyncio.create_task(self._send(segment.key, path))
        self._base_offset = last_offset + 1

    async def finish(self) -> tuple[RecordSegment, ...]:
        """All segments, each in the bucket; the last one was cut. Raises what a PUT raised."""
        await self._settle()
        return tuple(self._made)

    async def abandon(self) -> None:
        """Give up what is under way; harmless after `finish`."""
        if self._put is not None:
            self._put.cancel()
            await asyncio.gather(self._put, return_exceptions=True)
            self._put = None
        await asyncio.get_running_loop().run_in_executor(self._bench.threads, self._drop)

    def _close(self, last_offset: int, cleaned_ms: int) -> tuple[RecordSegment, Path]:
        if self._writer is None:
            self.write(RECORDS.empty_table(), ())
        assert self._writer is not None
        assert self._path is not None
        name = RecordSegmentKey(self._facts.partition, self._base_offset, last_offset, new_ulid(self._bench.clock))
        segment = self._writer.close(name.key, self._base_offset, last_offset)
        self._writer = None
        return replace(segment, rewrites=self._rewrites, cleaned_ms=cleaned_ms), self._path

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        for path in (self._path, self._sending):
            if path is not None:
                path.unlink(missing_ok=True)

    async def _settle(self) -> None:
        if self._put is not None:
            await self._put
            self._put = None

    async def _send(self, key: str, path: Path) -> None:
        body = await asyncio.to_thread(_mapped, path)
        async with self._bench.puts if len(body) > LARGE_BYTES else contextlib.nullcontext():
            await self._bench.store.create(key, body)
        await asyncio.to_thread(path.unlink)


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
