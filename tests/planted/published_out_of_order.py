"""A later segment does not wait for the publish of an earlier one, and neither the view nor the log insists on it.

The view refuses what leaves a gap, and the log refuses what is not the next, so one of these alone does no harm.
"""

from dataclasses import replace
from typing import Any

from infra.segment.extent import Extent, FlushedExtent
from infra.view.memory_partition import MemoryPartition
from ingest.flush import Flusher
from ingest.partition_log import PartitionLog
from tests.planted import Patch

_carry = Flusher._carry
_judge = MemoryPartition._judge
_on_published = PartitionLog.on_published


async def _at_once(self: Flusher, flight: Any) -> None:
    await _carry(self, replace(flight, before=None))


def _judge_gaps(self: MemoryPartition, extent: Extent, known_epoch: int) -> Any:
    verdict = _judge(self, extent, known_epoch)
    return "add" if verdict == "gap" else verdict


def _any(self: PartitionLog, flushed: FlushedExtent) -> Any:
    if flushed.extent.last_offset < self._published:
        return []
    self._published = flushed.extent.base_offset
    return _on_published(self, flushed)


def plant(patch: Patch) -> None:
    patch(Flusher, "_carry", _at_once)
    patch(MemoryPartition, "_judge", _judge_gaps)
    patch(PartitionLog, "on_published", _any)
