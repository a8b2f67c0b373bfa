"""What a topic's Iceberg table should be, decided from manifests and from what the table is: no I/O, no Iceberg here.

A table is always brought from whatever it is to what the manifests say. So a commit that was lost, failed or made twice
needs no care: the next look finds the difference.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment

_UNPLAIN = re.compile(r"[^a-z0-9_]")


@dataclass(frozen=True, slots=True)
class TableFile:
    """A record segment that belongs into the table."""

    key: str
    partition: int
    records: int
    size: int  # bytes
    text: bool  # the value column is text

    @classmethod
    def of(cls, partition: int, segment: RecordSegment) -> "TableFile":
        """As a manifest has it."""
        return cls(segment.key, partition, segment.records, segment.size, segment.value_format != "bytes")


@dataclass(frozen=True, slots=True)
class TableGoal:
    """What a topic's table should hold, and how far the manifests were read for that."""

    topic_id: UUID
    topic: str
    files: Mapping[str, TableFile]  # by key
    versions: tuple[int, ...]  # of each partition's manifest, -1 for an empty ledger

    @property
    def text(self) -> bool:
        """Whether values are text; a topic's segments agree in that."""
        return any(file.text for file in self.files.values())


def goal_of(topic_id: UUID, topic: str, manifests: Sequence[Manifest]) -> TableGoal:
    """The union of the partitions' record segments, but those wholly below the log start and those without a record."""
    files = [
        TableFile.of(partition, segment)
        for partition, manifest in enumerate(manifests)
        for segment in manifest.segments
        if segment.records and segment.last_offset >= manifest.log_start_offset
    ]
    return TableGoal(
        topic_id, topic, {file.key: file for file in files}, tuple(manifest.version for manifest in manifests)
    )


@dataclass(frozen=True, slots=True)
class TableChange:
    """What one snapshot brings in and takes out."""

    added: tuple[TableFile, ...]
    removed: tuple[str, ...]  # keys

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


def change_to(goal: TableGoal, current: Iterable[str]) -> TableChange:
    """From the keys of the table's current data files to the goal."""
    keys = set(current)
    added = tuple(file for key, file in goal.files.items() if key not in keys)
    return TableChange(added, tuple(sorted(keys - goal.files.keys())))


def superseded(made_ms: Sequence[int], before_ms: int) -> int:
    """How many of things that follow one another, the first made first, had a successor before `before_ms`."""
    return sum(successor < before_ms for successor in made_ms[1:])


def table_name(topic: str, topic_id: UUID | None = None) -> str:
    """A topic's table: small letters, digits and underscores, which every catalog and engine takes unquoted.

    With the topic's id: for one of two topics whose names come to the same.
    """
    plain = _UNPLAIN.sub("_", topic.lower())
    return plain if topic_id is None else f"{plain}_{topic_id.hex[:8]}"


def encode_versions(versions: Sequence[int]) -> str:
    """As a snapshot's property, by partition."""
    return ",".join(map(str, versions))


def decode_versions(text: str | None) -> tuple[int, ...]:
    """From that property; empty when there is none."""
    return tuple(map(int, text.split(","))) if text else ()
