"""Offsets that a client commits, as OffsetCommit and TxnOffsetCommit carry them alike."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from infra.partition import TopicPartition
from ingest.coordinator.offsets import CommittedOffset


class _Partition(Protocol):
    partition_index: int
    committed_offset: int
    committed_leader_epoch: int
    committed_metadata: str | None


class _Topic(Protocol):
    name: str

    @property
    def partitions(self) -> Sequence[_Partition]: ...


def committed_offsets(topics: Iterable[_Topic]) -> dict[TopicPartition, CommittedOffset]:
    """What is to be committed of each partition."""
    return {
        (topic.name, partition.partition_index): CommittedOffset(
            offset=partition.committed_offset,
            leader_epoch=partition.committed_leader_epoch,
            metadata=partition.committed_metadata,
        )
        for topic in topics
        for partition in topic.partitions
    }
