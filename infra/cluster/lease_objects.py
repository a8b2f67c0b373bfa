"""Fences, releases, and what a topic's listing says of its leases: the objects that claimants and leaders meet in.

A fence ends a session for all its partitions; a release gives back one lease. Both are created once and stay.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from infra.cluster.record_format import encode_record
from infra.cluster.records import EpochRecord
from infra.errors import Exists
from infra.object_key import (
    EpochKey,
    FenceKey,
    ManifestKey,
    ReleaseKey,
    epochs_of_topic,
    manifests_of_topic,
    parse_key,
    releases_of_topic,
)
from infra.partition import Lease, PartitionId, SessionId
from infra.store.port import ObjectStore


async def create_fence(store: ObjectStore, session: SessionId, by: SessionId) -> None:
    """End a session. When this returns, the fence exists, whoever made it."""
    body = encode_record({"by_node_id": by.node_id, "by_node_epoch": by.node_epoch})
    try:
        await store.create(FenceKey(session).key, body)
    except Exists:
        return


async def fence_exists(store: ObjectStore, session: SessionId) -> bool:
    """Whether a session has been ended."""
    return await store.head(FenceKey(session).key) is not None


async def create_release(store: ObjectStore, lease: Lease) -> None:
    """Give a lease back. Once this was called, whatever came of it, that leader epoch is over."""
    body = encode_record({"node_id": lease.session.node_id, "node_epoch": lease.session.node_epoch})
    try:
        await store.create(ReleaseKey(lease.partition, lease.leader_epoch).key, body)
    except Exists:
        return


async def last_epochs(store: ObjectStore, topic_id: UUID) -> dict[PartitionId, int]:
    """The newest leader epoch of each partition of a topic that has one: one listing."""
    last: dict[PartitionId, int] = {}
    async for info in store.list(epochs_of_topic(topic_id)):
        key = parse_key(info.key)
        if isinstance(key, EpochKey):
            last[key.partition] = key.leader_epoch
    return last


async def last_manifests(store: ObjectStore, topic_id: UUID) -> dict[PartitionId, int]:
    """The newest manifest version of each partition of a topic that has one: one listing."""
    last: dict[PartitionId, int] = {}
    async for info in store.list(manifests_of_topic(topic_id)):
        key = parse_key(info.key)
        if isinstance(key, ManifestKey):
            last[key.partition] = key.version
    return last


async def releases(store: ObjectStore, topic_id: UUID) -> set[tuple[PartitionId, int]]:
    """All leases of a topic that were given back: (partition, leader epoch)."""
    found: set[tuple[PartitionId, int]] = set()
    async for info in store.list(releases_of_topic(topic_id)):
        key = parse_key(info.key)
        if isinstance(key, ReleaseKey):
            found.add((key.partition, key.leader_epoch))
    return found


async def read_epoch(store: ObjectStore, partition: PartitionId, leader_epoch: int) -> EpochRecord:
    """One epoch record. Raises `NotFound`."""
    key = EpochKey(partition, leader_epoch).key
    return EpochRecord.decode(await store.get(key), key)


@dataclass(frozen=True, slots=True)
class TopicLeases:
    """What the bucket says of the leases of one topic, as of one moment."""

    epochs: dict[PartitionId, int]  # newest leader epoch
    released: set[tuple[PartitionId, int]]


async def read_leases(store: ObjectStore, topic_id: UUID) -> TopicLeases:
    """Epochs and releases of a topic: two listings at once."""
    epochs, released = await asyncio.gather(last_epochs(store, topic_id), releases(store, topic_id))
    return TopicLeases(epochs, released)
