"""Readers see the record at the high watermark too, as if it were not exclusive."""

from typing import Any

from ingest.partition_log import PartitionLog
from tests.planted import Patch


def _high_watermark(self: PartitionLog) -> int:
    held = self._synced if self.durability == "wal" else self._published
    next_batch: Any = self._tail.first_from(held)
    return held if next_batch is None else int(next_batch.header.next_offset)


def plant(patch: Patch) -> None:
    patch(PartitionLog, "high_watermark", property(_high_watermark))
