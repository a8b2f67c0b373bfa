"""A piece of work: a stretch of one partition that any process can read alone. Values only, as small as they can be.

A piece names offsets and no objects: whoever reads it looks into the manifest of then, so a piece stays true however
often compaction replaces what it was planned on.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPlace:
    """A topic, and how a process reaches its records without asking anybody."""

    bootstrap: str
    bucket: str  # URL
    topic: str
    topic_id: UUID
    cluster_id: str | None
    command_config: str | None = None  # path of a file of client properties, wherever the work is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Offsets from `start` up to, not including, `end` of one partition."""

    place: TopicPlace
    partition: int
    start: int
    end: int
    size: int = 0  # bytes in record segments; 0 when the leader is asked for all of it

    @property
    def from_bucket(self) -> bool:
        """Whether record segments answer for all of it, so that no leader is asked."""
        return self.size > 0

    def to_json(self) -> str:
        """For whatever cannot carry Python objects."""
        fields = asdict(self)
        fields["place"]["topic_id"] = str(self.place.topic_id)
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The reverse of `to_json`."""
        fields: Mapping[str, Any] = json.loads(text)
        place = {**fields["place"], "topic_id": UUID(fields["place"]["topic_id"])}
        return cls(**{**fields, "place": TopicPlace(**place)})
