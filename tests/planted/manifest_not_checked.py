"""A leader adopts a manifest that tells of record segments above what it has published."""

from infra.cluster.manifest import Manifest
from ingest.partition_log import PartitionLog
from tests.planted import Patch


def _adopt(self: PartitionLog, manifest: Manifest) -> None:
    if manifest.version > self.manifest.version:
        self._history.adopt(manifest)
        self._wake()


def plant(patch: Patch) -> None:
    patch(PartitionLog, "adopt_manifest", _adopt)
