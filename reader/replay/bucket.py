"""The bucket as a replay reads it: footers and stretches of record segments.

A folder's files are mapped into memory, not copied.
"""

import asyncio
from collections import OrderedDict
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from infra.cluster.manifest_record import RecordSegment
from infra.cluster.records import ClusterRecord
from infra.errors import BadStart, NotFound
from infra.object_key import CLUSTER
from infra.segment.record_footer import RecordFooter, read_record_footer
from infra.store.open import open_store
from infra.store.port import Buffer, ObjectStore

_FOOTERS = 64  # kept; the stretches of a segment are read one after another


class Bucket:
    """Reads what manifests name; `folder` when the objects are files of this machine."""

    def __init__(self, store: ObjectStore, folder: Path | None = None, *, gets: int = 16) -> None:
        """At most `gets` requests are under way at a time."""
        self.store = store
        self._folder = folder
        self._gets = asyncio.Semaphore(gets)
        self._footers: OrderedDict[str, asyncio.Task[RecordFooter]] = OrderedDict()

    async def footer(self, segment: RecordSegment) -> RecordFooter:
        """The footer of a segment, read once. Raises `NotFound`, `Corrupt`, `BadStart`, `Unavailable`."""
        return await asyncio.shield(self.expect(segment))

    def expect(self, segment: RecordSegment) -> "asyncio.Task[RecordFooter]":
        """Begin to read a footer that will be asked for."""
        task = self._footers.get(segment.key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.ensure_future(self._read_footer(segment.key))
            self._footers[segment.key] = task
            if len(self._footers) > _FOOTERS:
                self._footers.popitem(last=False)
        return task

    async def stretch(self, key: str, position: int, size: int) -> Buffer:
        """Bytes of an object. Raises `NotFound`, `Unavailable`."""
        if self._folder is not None:
            return _mapped(self._folder / key, key, position, size)
        async with self._gets:
            return await self.store.get_range(key, position, size)

    async def close(self) -> None:
        """Give back connections and threads."""
        tasks = list(self._footers.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.store.close()

    async def _read_footer(self, key: str) -> RecordFooter:
        async with self._gets:
            return await read_record_footer(self.store, key)


async def open_bucket(url: str, cluster_id: str | None, *, gets: int = 16) -> Bucket:
    """The bucket of a cluster. Raises `BadStart` when it is not there, or is another cluster's (None: any)."""
    folder = _folder_of(url)
    if folder is not None and not (folder / CLUSTER).is_file():
        raise BadStart(f"the bucket {url} cannot be reached from here: name the way to it with --bucket")
    store = open_store(url)
    try:
        try:
            there = ClusterRecord.decode(await store.get(CLUSTER), CLUSTER).cluster_id
        except NotFound:
            raise BadStart(f"there is no bucket of a cluster at {url}: name the right one with --bucket") from None
        if cluster_id is not None and there != cluster_id:
            raise BadStart(f"the bucket {url} is that of another cluster: name the right one with --bucket")
    except BaseException:
        await store.close()
        raise
    return Bucket(store, folder, gets=gets)


def _folder_of(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _mapped(path: Path, key: str, position: int, size: int) -> Buffer:
    """A view of the file, which is never changed; it is read from the disk by whoever looks at it."""
    try:
        with pa.memory_map(str(path)) as file:
            return memoryview(file.read_at(size, position))
    except FileNotFoundError:
        raise NotFound(key) from None
