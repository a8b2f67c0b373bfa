"""Where the Iceberg table of a topic is found: by the catalog, and when that has forgotten it, by the bucket.

The catalog is whatever the node's settings name, else an SQLite file. The table's own files say which topic it is of.
Imported with the Iceberg library only; for a thread.
"""

import re
from collections.abc import Callable, Mapping
from uuid import UUID

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.io import FileIO, load_file_io
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.metadata import TableMetadata

from compactor.table import TableGoal, table_name
from compactor.table_io import TableStore
from compactor.table_schema import TOPIC, TOPIC_ID, is_text, partitioning, table_properties, table_schema
from infra.aws import endpoint
from infra.object_key import table_of_topic
from infra.store.port import ObjectInfo

CATALOG = NAMESPACE = "cauce"
_METADATA = re.compile(r"metadata/(\d+)-[^/]*\.metadata\.json")

IsGone = Callable[[UUID], bool]


class TableCatalog:
    """One for a compactor process; opened at its first use."""

    def __init__(self, properties: Mapping[str, str], store: TableStore, is_gone: IsGone) -> None:
        """`properties`: as pyiceberg takes them, with those of the store; `is_gone`: whether a topic was deleted."""
        self._properties = dict(properties)
        self._store = store
        self._is_gone = is_gone
        self._opened: Catalog | None = None

    def find(self, topic_id: UUID, topic: str) -> Table | None:
        """A topic's table: as the catalog knows it, else as the bucket has it, which the catalog is told then."""
        for name in (table_name(topic), table_name(topic, topic_id)):
            table = self._load(name)
            if table is not None and _topic_of(table.metadata) == topic_id:
                return table
        newest = self._newest(topic_id)
        if newest is None:
            return None
        location, metadata = newest
        if _topic_of(metadata) != topic_id:
            return None
        self._catalog.create_namespace_if_not_exists(NAMESPACE)
        return self._catalog.register_table((NAMESPACE, self._free_name(topic_id, topic)), location)

    def find_or_create(self, goal: TableGoal) -> Table:
        """The table of a topic, made when there is none, or when its values were of another kind."""
        table = self.find(goal.topic_id, goal.topic)
        if table is not None and is_text(table.schema()) != goal.text:
            self._catalog.drop_table(table.name())
            table = None
        return table or self._create(goal)

    def drop(self, topic_id: UUID) -> None:
        """Let the catalog forget a topic's table; its files stay."""
        newest = self._newest(topic_id)
        topic = None if newest is None else newest[1].properties.get(TOPIC)
        if topic is None:
            return
        for name in (table_name(topic), table_name(topic, topic_id)):
            table = self._load(name)
            if table is not None and _topic_of(table.metadata) == topic_id:
                self._catalog.drop_table((NAMESPACE, name))

    @property
    def _catalog(self) -> Catalog:
        if self._opened is None:
            self._opened = load_catalog(CATALOG, **_with_endpoint(self._properties))
        return self._opened

    def _load(self, name: str) -> Table | None:
        try:
            return self._catalog.load_table((NAMESPACE, name))
        except (NoSuchTableError, NoSuchNamespaceError):
            return None
        except FileNotFoundError:  # the entry is older than the bucket
            self._catalog.drop_table((NAMESPACE, name))
            return None

    def _create(self, goal: TableGoal) -> Table:
        schema = table_schema(goal.text)
        self._catalog.create_namespace_if_not_exists(NAMESPACE)
        table = self._catalog.create_table(
            (NAMESPACE, self._free_name(goal.topic_id, goal.topic)),
            schema,
            location=self._store.location + table_of_topic(goal.topic_id).rstrip("/"),
            partition_spec=partitioning(schema),
            properties={
                **table_properties(goal),
                TableProperties.DEFAULT_NAME_MAPPING: schema.name_mapping.model_dump_json(),
            },
        )
        mapping = table.schema().name_mapping
        if table.name_mapping() != mapping:  # the catalog has numbered columns in its own way
            with table.transaction() as transaction:
                transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: mapping.model_dump_json()})
        return table

    def _free_name(self, topic_id: UUID, topic: str) -> str:
        """The plain name, unless another topic that still exists has it."""
        name = table_name(topic)
        holder = self._load(name)
        if holder is None:
            return name
        other = _topic_of(holder.metadata)
        if other is None or not self._is_gone(other):
            return table_name(topic, topic_id)
        self._catalog.drop_table((NAMESPACE, name))
        return name

    def _newest(self, topic_id: UUID) -> tuple[str, TableMetadata] | None:
        """The newest version of a table that the bucket holds whole, and where it is."""
        prefix = table_of_topic(topic_id)
        found: list[tuple[int, int, str]] = []
        for info in self._store.wait(self._list(prefix)):
            name = _METADATA.fullmatch(info.key.removeprefix(prefix))
            if name is not None:
                found.append((int(name[1]), info.modified_ms, info.key))
        for _, _, key in sorted(found, reverse=True):
            location = self._store.location + key
            io = load_file_io(self._properties, location)
            metadata = _whole(io, location)
            if metadata is not None:
                return location, metadata
        return None

    async def _list(self, prefix: str) -> list[ObjectInfo]:
        return [info async for info in self._store.store.list(prefix)]


def _with_endpoint(properties: Mapping[str, str]) -> dict[str, str]:
    """pyiceberg makes the client of Glue by itself, and knows nothing of LocalStack."""
    where = endpoint("glue") if properties.get("type") == "glue" else None
    return dict(properties) if where is None else {"glue.endpoint": where, **properties}


def _topic_of(metadata: TableMetadata) -> UUID | None:
    text = metadata.properties.get(TOPIC_ID)
    return None if text is None else UUID(text)


def _whole(io: FileIO, location: str) -> TableMetadata | None:
    """A table's metadata, None when some of what it names is gone: a refused commit takes its own files away."""
    try:
        metadata = FromInputFile.table_metadata(io.new_input(location))
        for snapshot in metadata.snapshots:
            for manifest in snapshot.manifests(io):
                manifest.fetch_manifest_entry(io)
    except (OSError, ValueError):
        return None
    return metadata
