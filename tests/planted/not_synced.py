"""The WAL writes and does not sync."""

from collections.abc import Callable
from typing import Any

from ingest.wal.files import WalFiles
from tests.planted import Patch


def _write(self: WalFiles, begin: int, buffers: list[Any], end: int, retry: Callable[[OSError], None]) -> None:
    if self._file is None or self._handle is None or not buffers:
        return
    self._handle.pwrite(buffers, begin - self._file.begin)
    self.synced = self._file.end = end


def plant(patch: Patch) -> None:
    patch(WalFiles, "_write", _write)
