"""At durability `object` the high watermark, and acks=all, wait for the WAL alone."""

from ingest.acks import Complete
from ingest.partition_log import PartitionLog
from tests.planted import Patch


def _when_high_watermark(self: PartitionLog, upto: int, complete: Complete) -> bool:
    return self.when_synced(upto, complete)


def plant(patch: Patch) -> None:
    patch(PartitionLog, "high_watermark", property(lambda self: self._synced))
    patch(PartitionLog, "when_high_watermark", _when_high_watermark)
