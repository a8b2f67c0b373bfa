"""Readers see up to the log's end and not only below the high watermark."""

from ingest.partition_log import PartitionLog
from tests.planted import Patch


def plant(patch: Patch) -> None:
    patch(PartitionLog, "high_watermark", property(lambda self: self.log_end_offset))
