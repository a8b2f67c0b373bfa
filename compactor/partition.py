"""One partition as the compactor's steps find it, and what a step is. Values only: no I/O."""

from dataclasses import dataclass
from typing import Protocol

from infra.cluster.manifest import Manifest
from infra.cluster.state import Topic
from infra.partition import PartitionId
from infra.topic_config import TopicSettings
from infra.view.port import PublishedPartition


@dataclass(frozen=True, slots=True)
class PartitionWork:
    """One look at a partition. Each step gets a fresh one after a step that changed the manifest."""

    partition: PartitionId
    topic: Topic
    settings: TopicSettings
    manifest: Manifest  # as of this process's last reading of the ledger; another compactor may have been faster since
    published: PublishedPartition  # as the view tells; what it has forgotten is missing

    def __str__(self) -> str:
        return f"{self.topic.name}-{self.partition.partition}"


class Step(Protocol):
    """Work of one kind on one partition: retention, cleaning, tables. Asked at each look; it knows when it is due.

    A step that finds nothing to do makes no request to the bucket: an idle cluster costs nothing.
    """

    async def run(self, work: PartitionWork) -> Manifest | None:
        """Do what is due. The manifest after the change, as `Replacer.replace` answered; None when nothing changed.

        What it raises costs this partition's turn: the worker logs it and comes back later.
        """
