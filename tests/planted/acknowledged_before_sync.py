"""The WAL answers an append before it has written it."""

from collections.abc import Callable, Sequence
from typing import Any

from ingest.wal.writer import Wal
from tests.planted import Patch

_append = Wal.append


def _early(self: Wal, entries: Sequence[Any], done: Callable[[BaseException | None], None]) -> int:
    end = _append(self, entries, lambda failure: None)
    self._loop.call_soon(done, None)
    return end


def plant(patch: Patch) -> None:
    patch(Wal, "append", _early)
