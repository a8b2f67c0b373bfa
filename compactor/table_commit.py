"""Brings an Iceberg table to its goal: one commit with one snapshot, which expires old snapshots as well.

Imported with the Iceberg library only; for a thread. `CommitFailedException` means: load the table and plan anew.
"""

from collections.abc import Sequence

from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update.snapshot import ExpireSnapshots, _ManifestMergeManager, _OverwriteFiles

from compactor.table import TableGoal, change_to, encode_versions, superseded
from compactor.table_files import TableContents, new_data_files
from compactor.table_io import TableStore
from compactor.table_schema import VERSIONS

_MANIFESTS = 16  # of a snapshot that bring in something small, before they become one
_MANIFEST_BYTES = 8 << 20


def bring_to(table: Table, goal: TableGoal, contents: TableContents, store: TableStore, expire_before_ms: int) -> bool:
    """Make the table hold the goal's files, and let snapshots go that had a successor before a time (wall clock).

    False when nothing had to change: no request but GETs was made. Raises what the catalog and the store raise.
    """
    current = contents.current(table)
    change = change_to(goal, current)
    transaction = table.transaction()
    if change:
        snapshot = _Replace(transaction, table.io, {VERSIONS: encode_versions(goal.versions)}, bool(change.removed))
        for key in change.removed:
            snapshot.delete_data_file(current[key])
        for file in new_data_files(table.metadata, change.added, store):
            snapshot.append_data_file(file)
        snapshot.commit()
    expired = _expired(transaction, expire_before_ms)
    if expired:
        ExpireSnapshots(transaction).by_ids(expired).commit()
    if not change and not expired:
        return False
    transaction.commit_transaction()
    contents.forget_all_but(table.metadata.snapshots)
    return True


def next_expiry_ms(table: Table, retention_ms: int) -> int | None:
    """When the next snapshot is to go, None when there is but one."""
    made = _made(table.metadata.snapshots)
    return made[1][0] + retention_ms if len(made) > 1 else None


def _expired(transaction: Transaction, before_ms: int) -> list[int]:
    made = _made(transaction.table_metadata.snapshots)
    return [number for _, number in made[: superseded([at for at, _ in made], before_ms)]]


def _made(snapshots: Sequence[Snapshot]) -> list[tuple[int, int]]:
    """When each was made and its id, the first made first."""
    ordered = sorted(snapshots, key=lambda snapshot: snapshot.sequence_number or 0)
    return [(snapshot.timestamp_ms, snapshot.snapshot_id) for snapshot in ordered]


class _Replace(_OverwriteFiles):
    """A snapshot that takes files out and brings files in.

    pyiceberg's own would keep a manifest for every commit there ever was, also those that only name what was deleted.
    """

    def __init__(self, transaction: Transaction, io: FileIO, properties: dict[str, str], removes: bool) -> None:
        operation = Operation.OVERWRITE if removes else Operation.APPEND
        super().__init__(operation, transaction, io, snapshot_properties=properties)

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        live = [one for one in manifests if one.has_added_files() or one.has_existing_files() or self._is_new(one)]
        data = [one for one in live if one.content == ManifestContent.DATA]
        merged = _ManifestMergeManager(_MANIFEST_BYTES, _MANIFESTS, True, self).merge_manifests(data)
        return merged + [one for one in live if one.content != ManifestContent.DATA]

    def _is_new(self, manifest: ManifestFile) -> bool:
        return manifest.added_snapshot_id == self._snapshot_id
