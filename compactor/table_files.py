"""The files of a topic's Iceberg table: data files as Iceberg describes them, and what its live snapshots name.

What snapshots name never changes, so it is read once. Imported with the Iceberg library only; for a thread.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.typedef import Record

from compactor.table import TableFile, superseded
from compactor.table_io import TableStore
from compactor.table_schema import metrics_mode
from infra.segment.record_footer import RecordFooter, read_record_footer

_FOOTERS_AT_ONCE = 8


def new_data_files(metadata: TableMetadata, files: Sequence[TableFile], store: TableStore) -> Iterator[DataFile]:
    """Record segments as data files, with the statistics of their footers: two GETs each at the most.

    Raises as `read_record_footer`.
    """
    for begin in range(0, len(files), _FOOTERS_AT_ONCE):
        some = files[begin : begin + _FOOTERS_AT_ONCE]
        for file, footer in zip(some, store.wait(_footers(store, some)), strict=True):
            yield _data_file(metadata, file, footer.metadata, store.location)


async def _footers(store: TableStore, files: Sequence[TableFile]) -> list[RecordFooter]:
    return await asyncio.gather(*(read_record_footer(store.store, file.key) for file in files))


def _data_file(metadata: TableMetadata, file: TableFile, footer: pq.FileMetaData, location: str) -> DataFile:
    try:
        statistics = _statistics(metadata, footer, metadata.properties)
    except (ValueError, OverflowError):  # a record's time lies beyond Python's last year
        statistics = _statistics(metadata, footer, {**metadata.properties, metrics_mode("timestamp"): "none"})
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location + file.key,
        file_format=FileFormat.PARQUET,
        partition=Record(file.partition),
        file_size_in_bytes=file.size,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **{**statistics, "record_count": file.records},
    )


def _statistics(metadata: TableMetadata, footer: pq.FileMetaData, properties: dict[str, str]) -> dict[str, Any]:
    schema = metadata.schema()
    found = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    return found.to_serialized_dict()


class TableContents:
    """What one table's snapshots name, kept between looks."""

    def __init__(self, location: str) -> None:
        """`location`: of the bucket, what keys are appended to."""
        self._location = location
        self._manifests: dict[str, tuple[ManifestFile, ...]] = {}  # by manifest list
        self._keys: dict[str, tuple[str, ...]] = {}  # of data files, by manifest

    def current(self, table: Table) -> dict[str, DataFile]:
        """The data files of the table as it stands, by the object's key."""
        snapshot = table.current_snapshot()
        manifests = () if snapshot is None else self._of(table, snapshot)
        return {
            self._key(entry.data_file.file_path): entry.data_file
            for manifest in manifests
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        }

    def named(self, table: Table) -> set[str]:
        """Keys of the data files of every snapshot that has not expired."""
        return {
            key
            for snapshot in table.metadata.snapshots
            for manifest in self._of(table, snapshot)
            for key in self._keys_of(table, manifest)
        }

    def needed(self, table: Table, before_ms: int) -> set[str]:
        """Keys of the metadata that snapshots need, and of table versions with a successor after `before_ms`."""
        log = table.metadata.metadata_log
        old = superseded([*(entry.timestamp_ms for entry in log), table.metadata.last_updated_ms], before_ms)
        locations = [table.metadata_location, *(entry.metadata_file for entry in log[old:])]
        for snapshot in table.metadata.snapshots:
            locations.append(snapshot.manifest_list)
            locations.extend(manifest.manifest_path for manifest in self._of(table, snapshot))
        return set(map(self._key, locations))

    def forget_all_but(self, snapshots: Iterable[Snapshot]) -> None:
        """Only these are live."""
        live = {snapshot.manifest_list for snapshot in snapshots}
        self._manifests = {name: kept for name, kept in self._manifests.items() if name in live}
        paths: Collection[str] = {one.manifest_path for kept in self._manifests.values() for one in kept}
        self._keys = {path: keys for path, keys in self._keys.items() if path in paths}

    def _of(self, table: Table, snapshot: Snapshot) -> tuple[ManifestFile, ...]:
        found = self._manifests.get(snapshot.manifest_list)
        if found is None:
            found = self._manifests[snapshot.manifest_list] = tuple(snapshot.manifests(table.io))
        return found

    def _keys_of(self, table: Table, manifest: ManifestFile) -> tuple[str, ...]:
        found = self._keys.get(manifest.manifest_path)
        if found is None:
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            found = tuple(self._key(entry.data_file.file_path) for entry in entries)
            self._keys[manifest.manifest_path] = found
        return found

    def _key(self, location: str) -> str:
        return location.removeprefix(self._location)
