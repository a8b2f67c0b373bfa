"""An Iceberg library's files, read and written through the object store: one way to the bucket, counted and retried.

The library works on a thread and asks the event loop, where the store lives. It makes its files from properties, which
are text, so stores are found by a name. Imported with the Iceberg library only.
"""

import asyncio
import contextlib
import io
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from pyiceberg.io import PY_IO_IMPL, FileIO, InputFile, InputStream, OutputFile, OutputStream
from pyiceberg.typedef import EMPTY_DICT, Properties

from infra.errors import Exists, NotFound, Unavailable
from infra.store.port import ObjectStore

T = TypeVar("T")

_STORE = "cauce.store"
_LOOK_SECONDS = 1.0  # how often a thread that waits looks whether the loop still runs


class TableStore:
    """The bucket for a thread: its locations, and calls that wait for the event loop."""

    def __init__(self, store: ObjectStore, location: str, loop: asyncio.AbstractEventLoop) -> None:
        """`location`: what keys are appended to, ending with a slash."""
        self.store = store
        self.location = location
        self._loop = loop

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it in the loop, and answer what it answers. Raises `Unavailable` when the loop has ended."""
        try:
            future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise Unavailable("the compactor ends") from error
        while True:
            with contextlib.suppress(TimeoutError):
                return future.result(_LOOK_SECONDS)
            if future.done():
                return future.result()
            if not self._loop.is_running():
                raise Unavailable("the compactor ends")

    def key(self, location: str) -> str:
        """The object's key. Raises `ValueError` for a location outside of the bucket."""
        if not location.startswith(self.location):
            raise ValueError(f"{location} is not in {self.location}")
        return location.removeprefix(self.location)


_stores: dict[str, TableStore] = {}


@contextlib.contextmanager
def named_store(name: str, store: TableStore) -> Iterator[dict[str, str]]:
    """Let files find the store; the catalog properties that lead to it."""
    _stores[name] = store
    try:
        yield {PY_IO_IMPL: f"{__name__}.{StoreFileIO.__name__}", _STORE: name}
    finally:
        del _stores[name]


class StoreFileIO(FileIO):
    """Implements pyiceberg's `FileIO`."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        self._store = _stores[properties[_STORE]]

    def new_input(self, location: str) -> InputFile:
        return _Input(location, self._store)

    def new_output(self, location: str) -> OutputFile:
        return _Output(location, self._store)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        name = location if isinstance(location, str) else location.location
        self._store.wait(self._store.store.delete([self._store.key(name)]))


class _Input(InputFile):
    def __init__(self, location: str, store: TableStore) -> None:
        super().__init__(location)
        self._store = store

    def __len__(self) -> int:
        found = self._store.wait(self._store.store.head(self._store.key(self.location)))
        if found is None:
            raise FileNotFoundError(self.location)
        return found.size

    def exists(self) -> bool:
        return self._store.wait(self._store.store.head(self._store.key(self.location))) is not None

    def open(self, seekable: bool = True) -> InputStream:
        try:
            return io.BytesIO(self._store.wait(self._store.store.get(self._store.key(self.location))))
        except NotFound as error:
            raise FileNotFoundError(self.location) from error


class _Output(OutputFile):
    def __init__(self, location: str, store: TableStore) -> None:
        super().__init__(location)
        self._store = store

    def __len__(self) -> int:
        return len(self.to_input_file())

    def exists(self) -> bool:
        return self.to_input_file().exists()

    def to_input_file(self) -> InputFile:
        return _Input(self.location, self._store)

    def create(self, overwrite: bool = False) -> OutputStream:
        """Objects are written once, so `overwrite` changes nothing; names hold random ids."""
        return _Written(self.location, self._store)


class _Written(io.BytesIO):
    """Kept in memory, and created in the store by `close`."""

    def __init__(self, location: str, store: TableStore) -> None:
        super().__init__()
        self._location = location
        self._store = store

    def close(self) -> None:
        if self.closed:
            return
        body = self.getvalue()
        super().close()
        try:
            self._store.wait(self._store.store.create(self._store.key(self._location), body))
        except Exists as error:
            raise FileExistsError(self._location) from error
