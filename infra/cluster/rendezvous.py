"""Which live node should lead a partition: rendezvous hashing, so that all nodes compute the same without talking.

When a node comes or goes, only the partitions that it gains or leaves change hands.
"""

from collections.abc import Iterable
from hashlib import blake2b

from infra.partition import PartitionId


def preferred_node(partition: PartitionId, node_ids: Iterable[int]) -> int | None:
    """The node id with the highest hash together with the partition; None without any node."""
    return max(node_ids, key=lambda node_id: (_weight(partition, node_id), node_id), default=None)


def _weight(partition: PartitionId, node_id: int) -> bytes:
    name = partition.topic_id.bytes + partition.partition.to_bytes(4, "big") + node_id.to_bytes(4, "big")
    return blake2b(name, digest_size=8).digest()
