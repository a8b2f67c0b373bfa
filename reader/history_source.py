"""Reads what a followed partition's log consists of below its tail: manifest and extents that fit together.

The view tells extents and the manifest's version, the bucket the manifest itself. Extents are read first: whoever
replaces them tells the manifest's version before the view forgets them, so a manifest read afterwards covers what is
missing. While they do not fit (the view is told in steps), there is no answer: ask again in a moment.
"""

from dataclasses import dataclass

from infra.cluster.lease_objects import read_epoch
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.state import ClusterState
from infra.partition import Lease, PartitionId
from infra.ports import EpochStart
from infra.store.port import ObjectStore
from infra.view.port import PublishedPartition, View


@dataclass(frozen=True, slots=True)
class History:
    """What was read."""

    manifest: Manifest
    published: PublishedPartition


class HistorySource:
    """For all partitions of one reader node. Keeps nothing."""

    def __init__(self, store: ObjectStore, view: View, state: ClusterState) -> None:
        self._store = store
        self._view = view
        self._state = state
        self._ledger = ManifestLedger(store)

    async def epochs(self, lease: Lease) -> tuple[EpochStart, ...]:
        """All leader epochs up to a lease's, ascending. Raises `NotFound`, `Corrupt`, `Unavailable`."""
        return (await read_epoch(self._store, lease.partition, lease.leader_epoch)).chain(lease.leader_epoch)

    async def read(self, partition: PartitionId, known: Manifest, *, listed: bool = False) -> History:
        """The history now; `known` spares what the manifest was folded from.

        `listed` asks the bucket how far the ledger has come, whatever the view says: a LIST. Raises `Unavailable`,
        `NotFound` and `Corrupt`.
        """
        published = await self._view.partition(partition)
        if listed:
            return History(await self._ledger.read(partition, known), published)
        await self._state.refresh()  # not older than the extents
        version = self._state.manifest_version(partition)
        return History(await self._ledger.read_upto(partition, version, known), published)
