"""Goes through the objects that can become garbage, a bounded stretch at a time, and begins again after the last.

Ledgers, fences and the cluster's own object are not gone through: they are kept for ever, or go with their topic.
"""

from dataclasses import dataclass
from uuid import UUID

from infra.errors import Corrupt
from infra.object_key import (
    BATCHES,
    PROBES,
    RECORDS,
    RELEASES,
    TABLES,
    EpochKey,
    ManifestKey,
    ObjectKey,
    RecordSegmentKey,
    ReleaseKey,
    TableKey,
    parse_key,
)
from infra.store.port import ObjectInfo, ObjectStore

PREFIXES = tuple(sorted((BATCHES, PROBES, RECORDS, RELEASES, TABLES)))  # so in the order of keys


@dataclass(frozen=True, slots=True)
class Listed:
    """An object and what its key says."""

    info: ObjectInfo
    key: ObjectKey


@dataclass(frozen=True, slots=True)
class Stretch:
    """The objects with after < key, and key <= upto unless that is None: the end."""

    after: str
    upto: str | None
    objects: tuple[Listed, ...]
    unknown: tuple[str, ...]  # keys that are none of ours: never touched

    def covers(self, key: str) -> bool:
        """Whether an object of that key would have been listed."""
        return key > self.after and (self.upto is None or key <= self.upto)


def recognise(info: ObjectInfo) -> Listed | None:
    """None for an object whose key is none of ours."""
    try:
        return Listed(info, parse_key(info.key))
    except Corrupt:
        return None


def topic_of(key: ObjectKey) -> UUID | None:
    """The one topic that an object belongs to, other than by its ledger; None for what belongs to several or none."""
    match key:
        case EpochKey() | ManifestKey() | ReleaseKey() | RecordSegmentKey():
            return key.partition.topic_id
        case TableKey():
            return key.topic_id
    return None


class Sweep:
    """Where one process is on its way through the bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._after = ""

    async def list(self, most: int) -> Stretch:
        """The next stretch, of `most` objects at the most: a LIST a thousand of them, and one a prefix."""
        objects: list[Listed] = []
        unknown: list[str] = []
        upto: str | None = None
        for prefix in PREFIXES:
            if upto is not None or self._after >= prefix + "\U0010ffff":
                continue
            start_after = self._after if self._after.startswith(prefix) else ""
            async for info in self._store.list(prefix, start_after=start_after):
                listed = recognise(info)
                if listed is None:
                    unknown.append(info.key)
                else:
                    objects.append(listed)
                if len(objects) + len(unknown) >= most:
                    upto = info.key
                    break
        return Stretch(self._after, upto, tuple(objects), tuple(unknown))

    def passed(self, stretch: Stretch) -> None:
        """The stretch was dealt with: go on behind it, or begin again."""
        self._after = stretch.upto or ""
