"""What a node finds in its own WAL above the bucket's end, and how it gets there when a lease is taken again.

The batches keep the leader epoch they were appended at; their segments stand under the new session. Only then the next
epoch record is made, so a restart truncates nothing that consumers saw.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from infra.clock import Clock
from infra.cluster.extent_chain import ChainedLog
from infra.object_key import FIRST_RETURNED, BatchSegmentKey
from infra.partition import PartitionId, SessionId
from infra.records.batch import BatchHeader
from infra.segment.batch_segment import SegmentPart, build_batch_segment
from infra.segment.extent import FlushedExtent
from infra.store.port import Buffer, ObjectStore
from ingest.backoff import until_available
from ingest.producer_state import ProducerChanges

SEGMENT_BYTES = 64 << 20


def plan_return(
    partition: PartitionId,
    leader_epoch: int,
    log: ChainedLog,
    left: Sequence[Buffer],
    now_ms: int,
    segment_bytes: int = SEGMENT_BYTES,
) -> list[SegmentPart]:
    """What of `left` (a partition's batches in the WAL, in order) continues the bucket's log at its last leader epoch.

    Older epochs are void, what lies below the end is in the bucket, and after a hole nothing counts. `now_ms` counts
    as the time of their append.
    """
    parts: list[SegmentPart] = []
    producers = {entry.producer_id: entry for entry in log.producers}
    changes = ProducerChanges(producers)
    batches: list[Buffer] = []
    size = 0
    end = log.end_offset
    begun = False
    for batch in left:
        header = BatchHeader.parse(batch)
        if header.leader_epoch != leader_epoch or header.next_offset <= end:
            continue
        if header.base_offset > end or (begun and header.base_offset < end):
            break
        begun, end = True, header.next_offset
        changes.take(header, batch, now_ms)
        batches.append(batch)
        size += len(batch)
        if size >= segment_bytes:
            parts.append(SegmentPart(partition, leader_epoch, tuple(batches), changes.producers, changes.aborted))
            batches, changes, size = [], ProducerChanges(producers), 0
    if batches:
        parts.append(SegmentPart(partition, leader_epoch, tuple(batches), changes.producers, changes.aborted))
    return parts


def with_returned(log: ChainedLog, flushed: Sequence[FlushedExtent]) -> ChainedLog:
    """The log after its returned batches, in order of offsets."""
    if not flushed:
        return log
    producers = {entry.producer_id: entry for entry in log.producers}
    for one in flushed:
        producers.update((entry.producer_id, entry) for entry in one.producers)
    return replace(
        log,
        end_offset=flushed[-1].extent.last_offset + 1,
        extents=(*log.extents, *(one.extent for one in flushed)),
        producers=tuple(producers[key] for key in sorted(producers)),
    )


class WalReturn:
    """Puts returned batches into the bucket; one for all sessions of a node."""

    def __init__(self, store: ObjectStore, clock: Clock, cluster_id: str) -> None:
        self._store = store
        self._clock = clock
        self._cluster_id = cluster_id
        self._sequences: dict[SessionId, int] = {}

    async def put(
        self, session: SessionId, parts: Sequence[SegmentPart], segment_bytes: int = SEGMENT_BYTES
    ) -> Mapping[PartitionId, list[FlushedExtent]]:
        """PUT the parts in as few segments as their sizes allow; answers the extents, in order of offsets."""
        returned: dict[PartitionId, list[FlushedExtent]] = {}
        for group in _segments(parts, segment_bytes):
            sequence = self._sequences.get(session, FIRST_RETURNED)
            self._sequences[session] = sequence + 1
            key = BatchSegmentKey(session, sequence).key
            built = await asyncio.to_thread(build_batch_segment, key, self._cluster_id, session, group)
            await until_available(self._clock, f"the PUT of {key}", partial(self._store.create, key, built.body))
            for one in built.flushed:
                returned.setdefault(one.extent.partition, []).append(one)
        return returned


def _size(part: SegmentPart) -> int:
    return sum(map(len, part.batches))


def _segments(parts: Sequence[SegmentPart], segment_bytes: int) -> list[list[SegmentPart]]:
    """Parts together in segments; two parts of one partition never stand in one segment."""
    groups: list[list[SegmentPart]] = []
    size = 0
    for part in parts:
        full = not groups or size + _size(part) > segment_bytes
        if full or groups[-1][-1].partition == part.partition:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += _size(part)
    return groups
