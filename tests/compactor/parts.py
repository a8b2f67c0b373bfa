"""Extents, record segments and looks at a partition, with no more said than a test cares about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from compactor.partition import PartitionWork
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment
from infra.cluster.records import NO_CONFIGS
from infra.cluster.state import Topic
from infra.object_key import RecordSegmentKey
from infra.partition import PartitionId
from infra.segment.extent import Extent
from infra.topic_config import topic_settings
from infra.view.port import PublishedPartition

TOPIC_ID = UUID("00000000-0000-4000-8000-00000000000a")
PARTITION = PartitionId(TOPIC_ID, 0)
NOTHING = Manifest()
TOPIC = Topic(TOPIC_ID, "orders", 1, {}, 0)


def extent(base: int, last: int, size: int = 1000, sequence: int = 0, partition: PartitionId = PARTITION) -> Extent:
    """Offsets base to last in a batch segment of its own."""
    key = f"batches/0000000001/0000000000/{sequence:010d}.parquet"
    return Extent(partition, key, base, last, 0, 1, last - base + 1, size, last, 0)


def extents(ends: Sequence[int], size: int = 1000, begin: int = 0) -> tuple[Extent, ...]:
    """Neighbours that end before these offsets."""
    bases = [begin, *ends[:-1]]
    return tuple(extent(base, end - 1, size, at) for at, (base, end) in enumerate(zip(bases, ends, strict=True)))


def segment(base: int, last: int, size: int, max_timestamp: int = -1, rewrites: int = 0) -> RecordSegment:
    """A record segment as a manifest has it."""
    key = RecordSegmentKey(PARTITION, base, last, "0" * 26).key
    return replace(RecordSegment(key, base, last, last - base + 1, size, max_timestamp, ()), rewrites=rewrites)


def look(
    manifest: Manifest = NOTHING, published: Sequence[Extent] = (), configs: Mapping[str, str] = NO_CONFIGS
) -> PartitionWork:
    """A look at the partition."""
    end = published[-1].last_offset + 1 if published else manifest.records_end
    topic = replace(TOPIC, configs=configs)
    return PartitionWork(
        PARTITION,
        topic,
        topic_settings(configs, {}, "object"),
        manifest,
        PublishedPartition(end, tuple(published), ()),
    )
