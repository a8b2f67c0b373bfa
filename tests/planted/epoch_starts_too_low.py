"""A new epoch begins one offset below the end of the log."""

from dataclasses import replace
from typing import Any

from ingest.takeover import Takeover
from tests.planted import Patch

_create = Takeover._create


async def _low(self: Takeover, claim: Any, before: Any, adopted: Any, guard: Any) -> Any:
    if before is not None and adopted.log.end_offset > adopted.manifest.floor + 1:
        adopted = replace(adopted, log=replace(adopted.log, end_offset=adopted.log.end_offset - 1))
    return await _create(self, claim, before, adopted, guard)


def plant(patch: Patch) -> None:
    patch(Takeover, "_create", _low)
