"""Sequences are published with the flush before the one that carries their data."""

from typing import Any

from ingest.partition_log import FlushPart, PartitionLog
from tests.planted import Patch

_plan = PartitionLog.plan_flush


def _plan_flush(self: PartitionLog, max_bytes: int) -> Any:
    part = _plan(self, max_bytes)
    if part is None:
        return None
    return FlushPart(part.log, part.batches, self._producers.entries(), part.size, part.aborted)


def plant(patch: Patch) -> None:
    patch(PartitionLog, "plan_flush", _plan_flush)
