"""Parts for tests of the write side: leases, settings, and a session that can be fenced."""

from uuid import UUID

from infra.cluster.manifest import Manifest
from infra.errors import Fenced
from infra.partition import Lease, PartitionId, SessionId
from infra.ports import Durability, EpochStart, TakenLease
from infra.segment.extent import Extent, FlushedExtent, ProducerEntry
from infra.topic_config import TopicSettings, topic_settings
from ingest.partition_log import PartitionLog
from ingest.tail import TailBudget

TOPIC_ID = UUID(int=0xC0FFEE)
SESSION = SessionId(1, 3)
EPOCH = 5
NO_MANIFEST = Manifest()


class Guard:
    """A session guard: lives until the test fences it or lets its TTL lapse."""

    def __init__(self, session: SessionId = SESSION) -> None:
        self.session = session
        self.fenced = False
        self.lapsed = False
        self.looked = 0

    def check_ttl(self) -> None:
        if self.fenced or self.lapsed:
            raise Fenced("the session is over")

    async def look_for_fence(self) -> None:
        self.looked += 1
        if self.fenced:
            raise Fenced("a fence exists")


def partition_id(partition: int = 0, topic_id: UUID = TOPIC_ID) -> PartitionId:
    return PartitionId(topic_id, partition)


def taken_lease(
    partition: PartitionId | None = None,
    *,
    durability: Durability = "object",
    end_offset: int = 0,
    epoch: int = EPOCH,
    session: SessionId = SESSION,
    extents: tuple[Extent, ...] = (),
    producers: tuple[ProducerEntry, ...] = (),
    manifest: Manifest = NO_MANIFEST,
) -> TakenLease:
    return TakenLease(
        Lease(partition or partition_id(), session, epoch),
        "flights",
        durability,
        (EpochStart(epoch, end_offset),),
        manifest,
        end_offset,
        extents,
        producers,
    )


def settings_of(durability: Durability = "object", **configs: str) -> TopicSettings:
    named = {name.replace("_", "."): value for name, value in configs.items()}
    return topic_settings(named, {}, durability)


def open_log(
    durability: Durability = "object",
    *,
    end_offset: int = 0,
    guard: Guard | None = None,
    budget: TailBudget | None = None,
    producers: tuple[ProducerEntry, ...] = (),
    **configs: str,
) -> PartitionLog:
    taken = taken_lease(durability=durability, end_offset=end_offset, producers=producers)
    return PartitionLog(taken, settings_of(durability, **configs), guard or Guard(), budget or TailBudget(1 << 20))


def flushed_of(log: PartitionLog, segment: str = "batches/1", max_bytes: int = 1 << 30) -> FlushedExtent:
    """Plan a flush of the log and say what its segment would."""
    part = log.plan_flush(max_bytes)
    assert part is not None
    headers = [batch.header for batch in part.batches]
    extent = Extent(
        log.partition,
        segment,
        headers[0].base_offset,
        headers[-1].last_offset,
        log.leader_epoch,
        len(headers),
        sum(header.record_count for header in headers),
        part.size,
        max(header.max_timestamp for header in headers),
        0,
        part.aborted,
    )
    return FlushedExtent(extent, part.producers)
