"""A node that finds its own WAL does not return what it holds before it leads again."""

from typing import Any

from ingest.takeover import Takeover
from tests.planted import Patch


async def _return_wal(self: Takeover, befores: Any, logs: Any, own: Any, left: Any) -> dict[Any, Any]:
    return dict(logs)


def plant(patch: Patch) -> None:
    patch(Takeover, "_return_wal", _return_wal)
