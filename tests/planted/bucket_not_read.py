"""A claimant at durability `object` believes the view about the end of the log and does not list the dead session."""

from typing import Any

from ingest.log_end import LogEnds
from tests.planted import Patch


async def _extents(self: LogEnds, session: Any, readings: Any) -> dict[Any, Any]:
    return {}


def plant(patch: Patch) -> None:
    patch(LogEnds, "_extents", _extents)
