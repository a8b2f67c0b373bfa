"""Names of a partition, and of the session and lease that lead it."""

from typing import NamedTuple, TypeAlias
from uuid import UUID

TopicPartition: TypeAlias = tuple[str, int]  # topic name, partition: as clients and coordinators name one


class PartitionId(NamedTuple):
    """A partition by its topic id: a deleted and recreated topic has another id."""

    topic_id: UUID
    partition: int

    def __str__(self) -> str:
        return f"{self.topic_id}-{self.partition}"


class SessionId(NamedTuple):
    """One registration of a node: `sessions/<node id>/<node epoch>` in the bucket."""

    node_id: int
    node_epoch: int

    def __str__(self) -> str:
        return f"{self.node_id}.{self.node_epoch}"


class Lease(NamedTuple):
    """The right of a session to append to one partition at one leader epoch."""

    partition: PartitionId
    session: SessionId
    leader_epoch: int
