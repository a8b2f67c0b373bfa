"""Short ways to write extents, leases and sessions in tests of the view."""

from uuid import UUID

from infra.partition import Lease, PartitionId, SessionId
from infra.segment.extent import Extent, FlushedExtent, ProducerEntry
from infra.view.port import LiveSession

TOPIC = UUID(int=0x5EED)
P0 = PartitionId(TOPIC, 0)
P1 = PartitionId(TOPIC, 1)
SESSION = SessionId(7, 0)


def segment_key(number: int, session: SessionId = SESSION) -> str:
    return f"batches/{session.node_id:010}/{session.node_epoch:010}/{number:010}.parquet"


def extent(base: int, last: int, epoch: int = 0, segment: str = "", partition: PartitionId = P0) -> Extent:
    return Extent(
        partition=partition,
        segment=segment or segment_key(base),
        base_offset=base,
        last_offset=last,
        leader_epoch=epoch,
        batches=1,
        records=last - base + 1,
        size=100 * (last - base + 1),
        max_timestamp=1_700_000_000_000 + last,
        first_row=0,
    )


def producer(producer_id: int, last_offset: int, epoch: int = 0) -> ProducerEntry:
    batches = ((0, 4, last_offset - 4, 1_700_000_000_000), (5, 9, last_offset, 1_700_000_000_001))
    return ProducerEntry(producer_id, epoch, batches, 1_700_000_000_001)


def flushed(
    base: int, last: int, epoch: int = 0, segment: str = "", partition: PartitionId = P0, *producers: ProducerEntry
) -> FlushedExtent:
    return FlushedExtent(extent(base, last, epoch, segment, partition), producers)


def lease(epoch: int, session: SessionId = SESSION, partition: PartitionId = P0) -> Lease:
    return Lease(partition, session, epoch)


def live(session: SessionId = SESSION, port: int = 9092, rack: str | None = "a") -> LiveSession:
    return LiveSession(session, {"PLAINTEXT": f"127.0.0.1:{port}"}, rack, frozenset({"ingest", "reader"}))
