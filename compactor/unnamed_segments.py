"""Record segments that no manifest names: which of them may be deleted once their grace is over.

They may be the output of a compactor that is slow. Unless the newest manifest record was made after that segment was
PUT, an unchanged one is appended first, to the version that the segment was judged by: plans on older versions are
refused from then on, and another compactor's success at that very moment keeps the segment.

Where there is no manifest at all, either the first compaction died half way, or somebody has removed the ledger. So
there a segment goes only while the batch segments that it was made of are still the log.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from compactor.garbage import PartitionLedgers, may_yet_be_named
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord
from infra.object_key import RecordSegmentKey
from infra.partition import PartitionId
from infra.segment.extent import Extent
from infra.store.port import ObjectStore
from infra.view.bucket_log import BucketLogs, ReadExtents


class Replacing(Protocol):
    """What is needed of `compactor.replace.Replacer`."""

    async def read(self, partition: PartitionId) -> Manifest:
        """The newest manifest."""

    async def replace(self, partition: PartitionId, manifest: Manifest, record: ManifestRecord) -> Manifest | None:
        """Make one change; None when another was faster."""


class UnnamedSegments:
    """Makes sure that what is not named will never be."""

    def __init__(self, store: ObjectStore, replacer: Replacing, read_extents: ReadExtents) -> None:
        self._logs = BucketLogs(store, read_extents)
        self._replacer = replacer

    async def deletable(
        self, partition: PartitionId, segments: Mapping[RecordSegmentKey, int], known: PartitionLedgers
    ) -> list[str]:
        """Those `segments` (key → when it was made, ms) of a partition that nobody can bring in any more.

        `known`: the ledgers by which none of them is named.
        """
        keys = list(segments)
        if known.version < 0:
            extents = (await self._logs.read_one(partition)).published.extents
            keys = [key for key in keys if _covers(extents, key.base_offset, key.last_offset)]
        if any(may_yet_be_named(segments[key], known) for key in keys):
            manifest = await self._replacer.read(partition)
            record = ManifestRecord(manifest.log_start_offset)
            if manifest.version != known.version or await self._replacer.replace(partition, manifest, record) is None:
                return []
        return [key.key for key in keys]


def _covers(extents: Sequence[Extent], base_offset: int, last_offset: int) -> bool:
    """Whether the extents, ascending, hold every offset of a stretch."""
    at = base_offset
    for extent in extents:
        if extent.base_offset <= at <= extent.last_offset:
            at = extent.last_offset + 1
    return at > last_offset
