"""Topics of a bucket that lacks a part of a creation, as a copy of a bucket in use may: found, and finished.

A name is won first, then the topic is recorded. Without the name's record a second topic could take the name; without
the topic's own it does not exist, though everything that was written to it lies there.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from infra.cluster.records import TopicNameRecord, TopicRecord
from infra.cluster.topics import TopicLedger
from infra.errors import Exists
from infra.object_key import TOPIC_NAMES, TopicNameKey, parse_key, topic_ledger, topic_name_ledger
from infra.store.ledger import Ledger
from infra.store.port import ObjectStore

_GETS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class HalfTopic:
    """A topic of which one half is missing."""

    record: TopicRecord
    lacks: Literal["name", "record"]
    next_version: int  # of the ledger that lacks it
    taken_by: UUID | None = None  # another topic that has the name: nothing can be done

    @property
    def problem(self) -> str:
        """A sentence."""
        if self.taken_by is not None:
            return f"topic {self.record.topic_id} has lost its name {self.record.name!r} to topic {self.taken_by}"
        if self.lacks == "name":
            return f"the record of the name of topic {self.record.name!r} is missing: another topic could take the name"
        return f"the record of topic {self.record.name!r} is missing; its name tells how it was created"


async def half_topics(store: ObjectStore, topics: TopicLedger) -> list[HalfTopic]:
    """Every topic that has only a name, or none. Raises `Unavailable`."""
    names = await _names(store)
    known = await topics.all()
    found: list[HalfTopic] = []
    for topic_id, (_, record) in known.items():
        number, held = names.get(record.name, (-1, TopicNameRecord(None)))
        if record.deleted_ms is None and (held.topic is None or held.topic.topic_id != topic_id):
            other = None if held.topic is None else known.get(held.topic.topic_id)
            taken_by = other[1].topic_id if other is not None and other[1].deleted_ms is None else None
            found.append(HalfTopic(record, "name", number + 1, taken_by))
    for _, held in names.values():
        if held.topic is not None and held.topic.topic_id not in known and not held.revives:
            found.append(HalfTopic(held.topic, "record", 0))
    return found


async def mend_topic(store: ObjectStore, half: HalfTopic) -> None:
    """Record what is missing. Somebody else's word that came in between counts."""
    if half.taken_by is not None:
        return
    record = half.record
    with contextlib.suppress(Exists):
        if half.lacks == "name":
            names = Ledger(store, topic_name_ledger(record.name))
            await names.append(half.next_version, TopicNameRecord(record).encode())
        else:
            await Ledger(store, topic_ledger(record.topic_id)).append(half.next_version, record.encode())


async def _names(store: ObjectStore) -> dict[str, tuple[int, TopicNameRecord]]:
    """Name → (version, newest record)."""
    newest: dict[str, int] = {}
    async for info in store.list(TOPIC_NAMES):
        key = parse_key(info.key)
        if isinstance(key, TopicNameKey):
            newest[key.name] = key.version
    gate = asyncio.Semaphore(_GETS_AT_ONCE)

    async def read(name: str, version: int) -> tuple[int, TopicNameRecord]:
        async with gate:
            entry = await Ledger(store, topic_name_ledger(name)).get(version)
        return version, TopicNameRecord.decode(entry.body, f"name of topic {name!r}")

    records = await asyncio.gather(*(read(name, version) for name, version in newest.items()))
    return dict(zip(newest, records, strict=True))
