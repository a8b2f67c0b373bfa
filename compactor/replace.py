"""Replacing: one record in a partition's manifest ledger, made after the PUT of what it brings in; the view follows.

The ledger decides between two compactors. Whoever loses has made garbage, never trouble. When the view does not
answer, the replace stands all the same: `tell` is called again at a later look.
"""

import logging

from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord
from infra.errors import Exists, Unavailable
from infra.partition import PartitionId
from infra.view.port import View

log = logging.getLogger(__name__)


class Replacer:
    """Changes manifests, and remembers each partition's as this process last saw it, so that few need to be read."""

    def __init__(self, ledger: ManifestLedger, view: View) -> None:
        self._ledger = ledger
        self._view = view
        self._known: dict[PartitionId, Manifest] = {}

    async def replace(self, partition: PartitionId, manifest: Manifest, record: ManifestRecord) -> Manifest | None:
        """Make one change to `manifest`: everything that `record` adds is in the bucket already.

        The manifest after it, or None when another was faster: what was PUT for it is garbage. Raises `Unavailable`
        when the ledger's answer is unknown; reading it again tells.
        """
        try:
            after = await self._ledger.append(partition, manifest, record)
        except Exists:
            log.info("another compactor changed the manifest of %s after version %d", partition, manifest.version)
            await self.read(partition)
            return None
        self._known[partition] = after
        try:
            await self.tell(partition, after)
        except Unavailable as error:
            log.warning("the view was not told of version %d of %s: %s", after.version, partition, error)
        return after

    async def tell(self, partition: PartitionId, manifest: Manifest) -> None:
        """Let the view know a manifest, and forget the extents that it answers for. Raises `Unavailable`.

        Extents whose producers no manifest record has yet stay: whoever compacts next reads them from there.
        """
        await self._view.put_manifest(partition, manifest.version)
        await self._view.trim_partition(partition, min(manifest.floor, manifest.producers_upto))

    async def read(self, partition: PartitionId) -> Manifest:
        """The newest manifest, from the ledger: one LIST, and GETs for what is new."""
        manifest = await self._ledger.read(partition, self._known.get(partition))
        self._known[partition] = manifest
        return manifest

    async def at_least(self, partition: PartitionId, version: int) -> Manifest:
        """A manifest of that version or a later one: without a request when this process has seen one already."""
        known = self._known.get(partition)
        if known is None and version >= 0:
            known = self._known[partition] = await self._ledger.read_upto(partition, version)
        return known if known is not None and known.version >= version else await self.read(partition)

    def forget(self, partition: PartitionId) -> None:
        """The partition is gone."""
        self._known.pop(partition, None)
