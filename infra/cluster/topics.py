"""The ledgers of topics: exactly one topic wins a name, and every change is made to the newest version.

A name is won first, with the whole topic in the record, so that whoever finds a name taken by a topic without any
record (its creator died) finishes that creation. A topic is deleted by its last record, and only then is its name given
back.

A deleted topic is brought back the same way as it was created: its name is won first, by a record that says which
version of the topic it lets be. Until then the topic may be purged instead, by a record of that very version: of an
undelete and a purge one wins, and what was purged never comes back, so its objects may be deleted.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from infra.clock import Clock
from infra.cluster.records import TopicNameRecord, TopicRecord
from infra.cluster.state import Topic
from infra.error_code import ErrorCode
from infra.errors import Exists, Refused
from infra.object_key import (
    TOPIC_NAMES,
    TOPICS,
    TopicKey,
    TopicNameKey,
    parse_key,
    topic_ledger,
    topic_name_ledger,
)
from infra.store.ledger import Ledger, LedgerEntry
from infra.store.port import ObjectStore
from infra.topic_config import check_deletable

_LEDGERS_AT_ONCE = 32


class TopicView(Protocol):
    """The part of the view that is told of topics."""

    async def put_topic(self, topic_id: UUID, version: int, record: bytes) -> None:
        """Tell a topic's newest ledger record; an older version than the known one changes nothing."""

    async def topics(self) -> dict[UUID, tuple[int, bytes]]:
        """All known topics."""


class NoView:
    """Stands for the view where there is only a bucket: nodes find in the bucket what they were not told."""

    async def put_topic(self, topic_id: UUID, version: int, record: bytes) -> None:
        """Nobody is told."""

    async def put_setting(self, kind: str, name: str, version: int, record: bytes) -> None:
        """Nobody is told."""

    async def topics(self) -> dict[UUID, tuple[int, bytes]]:
        """None."""
        return {}


class TopicLedger:
    """Creates, changes and deletes topics: the bucket decides, then the view is told. Keeps nothing."""

    def __init__(self, store: ObjectStore, view: TopicView, clock: Clock) -> None:
        self._store = store
        self._view = view
        self._clock = clock

    async def create(
        self, name: str, partitions: int, configs: Mapping[str, str], topic_id: UUID | None = None
    ) -> Topic:
        """A new topic. Raises `Refused(TOPIC_ALREADY_EXISTS)` when the name is taken, `Unavailable`."""
        record = TopicRecord(topic_id or self._clock.uuid(), name, partitions, dict(configs))
        names = Ledger(self._store, topic_name_ledger(name))
        while True:
            last = await names.last()
            if last is not None:
                await self._check_name_is_free(name, last)
            try:
                await names.append(last.number + 1 if last else 0, TopicNameRecord(record).encode())
            except Exists:
                continue
            return await self._finish_creation(record)

    async def add_partitions(self, topic_id: UUID, count: int) -> Topic:
        """Grow a topic to `count` partitions. Raises `Refused` when it has as many, or is unknown."""

        def grow(topic: TopicRecord) -> TopicRecord:
            if count <= topic.partitions:
                raise Refused(
                    ErrorCode.INVALID_PARTITIONS,
                    f"topic {topic.name!r} has {topic.partitions} partitions already; ask for more than that",
                )
            return replace(topic, partitions=count)

        return await self._change(topic_id, grow)

    async def alter_configs(self, topic_id: UUID, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> Topic:
        """Replace a topic's configs by what `change` makes of the newest ones; what it raises comes out."""
        return await self._change(topic_id, lambda topic: replace(topic, configs=dict(change(topic.configs))))

    async def delete(self, topic_id: UUID) -> None:
        """Delete a topic and give its name back.

        Raises `Refused`: UNKNOWN_TOPIC_ID when it is unknown or gone, POLICY_VIOLATION when its configs protect it.
        """
        now_ms = self._clock.now_ms()

        def deleted(topic: TopicRecord) -> TopicRecord:
            check_deletable(topic.name, topic.configs)
            return replace(topic, deleted_ms=now_ms)

        topic = await self._change(topic_id, deleted)
        await self.give_back(topic.name, topic_id, topic.version)

    async def undelete(self, topic_id: UUID) -> Topic:
        """Bring a deleted topic back under its name, with its configs and every record that it had.

        Raises `Refused` with a sentence when it is unknown, not deleted, purged, or when its name is taken.
        """
        while True:
            known = await self.read(topic_id)
            if known is None or known[1].purged:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_ID, f"topic {topic_id} is gone for good")
            version, record = known
            if record.deleted_ms is None:
                raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic {record.name!r} ({topic_id}) is not deleted")
            held = TopicNameRecord(replace(record, deleted_ms=None), version + 1)
            names = Ledger(self._store, topic_name_ledger(record.name))
            last = await names.last()
            if last is None or TopicNameRecord.decode(last.body, str(names)) != held:  # else half done already
                await self._check_name_is_free_again(record.name, last)
                try:
                    await names.append(last.number + 1 if last else 0, held.encode())
                except Exists:
                    continue
            topic = await self._revive(held)
            if topic is not None:
                return topic
            await self.give_back(record.name, topic_id, version + 1)

    async def purge(self, topic_id: UUID, version: int, record: TopicRecord) -> bool:
        """Make a deleted topic's deletion final; False when its newest version is not `version` any more."""
        purged = replace(record, purged=True).encode()
        try:
            await Ledger(self._store, topic_ledger(topic_id)).append(version + 1, purged)
        except Exists:
            return False
        await self._view.put_topic(topic_id, version + 1, purged)
        return True

    async def give_back(self, name: str, topic_id: UUID, version: int) -> None:
        """Give a name back if a topic still has it that was deleted by its `version`."""
        names = Ledger(self._store, topic_name_ledger(name))
        last = await names.last()
        if last is None:
            return
        held = TopicNameRecord.decode(last.body, f"name of topic {name!r}")
        if held.topic is not None and held.topic.topic_id == topic_id and held.revives <= version:
            with contextlib.suppress(Exists):  # won by a new topic already
                await names.append(last.number + 1, TopicNameRecord(None).encode())

    async def holders(self) -> set[UUID]:
        """The topics that have a name, whatever their own ledgers say: one listing, and a GET a name."""
        newest: dict[str, int] = {}
        async for info in self._store.list(TOPIC_NAMES):
            key = parse_key(info.key)
            if isinstance(key, TopicNameKey):
                newest[key.name] = key.version
        gate = asyncio.Semaphore(_LEDGERS_AT_ONCE)

        async def holder(name: str, version: int) -> TopicRecord | None:
            async with gate:
                entry = await Ledger(self._store, topic_name_ledger(name)).get(version)
            return TopicNameRecord.decode(entry.body, f"name of topic {name!r}").topic

        held = await asyncio.gather(*(holder(name, version) for name, version in newest.items()))
        return {record.topic_id for record in held if record is not None}

    async def read(self, topic_id: UUID) -> tuple[int, TopicRecord] | None:
        """(version, record) of a topic, also of a deleted one; None when nothing was ever recorded."""
        last = await Ledger(self._store, topic_ledger(topic_id)).last()
        return None if last is None else (last.number, _record(topic_id, last))

    async def partitions_of(self, name: str) -> int:
        """How many partitions the topic of a name has, by the bucket alone: the view may have forgotten it. 0: none
        bears the name."""
        last = await Ledger(self._store, topic_name_ledger(name)).last()
        held = None if last is None else TopicNameRecord.decode(last.body, f"name of topic {name!r}")
        if held is None or held.topic is None:
            return 0
        known = await self.read(held.topic.topic_id)
        if known is None:
            return 0 if held.revives else held.topic.partitions  # purged meanwhile, or about to be created
        version, topic = known
        return topic.partitions if topic.deleted_ms is None or version < held.revives else 0

    async def all(self) -> dict[UUID, tuple[int, TopicRecord]]:
        """The newest version of every topic in the bucket, also of deleted ones: for rebuilding a view."""
        return await self._read_many(await self._newest_versions())

    async def repair_view(self) -> int:
        """Tell the view what it has forgotten of topics; how many. One listing when it has forgotten nothing."""
        newest, told = await asyncio.gather(self._newest_versions(), self._view.topics())
        behind = {
            topic_id: version for topic_id, version in newest.items() if told.get(topic_id, (-1, b""))[0] < version
        }
        for topic_id, (version, record) in (await self._read_many(behind)).items():
            await self._view.put_topic(topic_id, version, record.encode())
        return len(behind)

    async def _check_name_is_free_again(self, name: str, last: LedgerEntry | None) -> None:
        try:
            if last is not None:
                await self._check_name_is_free(name, last)
        except Refused as refused:
            taken = f"another topic has the name {name!r} by now: delete that one first"
            raise Refused(refused.code, taken) from None

    async def _check_name_is_free(self, name: str, last: LedgerEntry) -> None:
        held = TopicNameRecord.decode(last.body, f"name of topic {name!r}")
        if held.topic is None:
            return
        known = await self.read(held.topic.topic_id)
        if known is None:
            if held.revives:
                return  # it was purged meanwhile
            await self._finish_creation(held.topic)
        elif known[0] < held.revives:
            if await self._revive(held) is None:
                return
        elif known[1].deleted_ms is not None:
            return  # whoever deleted it has not given the name back yet
        else:
            await self._view.put_topic(held.topic.topic_id, known[0], known[1].encode())
        raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic {name!r} exists already")

    async def _revive(self, held: TopicNameRecord) -> Topic | None:
        """Finish an undelete whose name is won; None when the topic was purged instead, or is deleted again."""
        assert held.topic is not None
        topic_id, body = held.topic.topic_id, held.topic.encode()
        with contextlib.suppress(Exists):
            await Ledger(self._store, topic_ledger(topic_id)).append(held.revives, body)
        known = await self.read(topic_id)
        if known is None or known[1].deleted_ms is not None:
            return None
        await self._view.put_topic(topic_id, known[0], known[1].encode())
        return Topic.of(*known)

    async def _finish_creation(self, record: TopicRecord) -> Topic:
        body = record.encode()
        with contextlib.suppress(Exists):  # finished by somebody else with the same words
            await Ledger(self._store, topic_ledger(record.topic_id)).append(0, body)
        await self._view.put_topic(record.topic_id, 0, body)
        return Topic.of(0, record)

    async def _change(self, topic_id: UUID, change: Callable[[TopicRecord], TopicRecord]) -> Topic:
        def body_for(last: LedgerEntry | None) -> bytes:
            record = None if last is None else _record(topic_id, last)
            if record is None or record.deleted_ms is not None:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_ID, f"there is no topic {topic_id}")
            return change(record).encode()

        entry = await Ledger(self._store, topic_ledger(topic_id)).append_next(body_for)
        await self._view.put_topic(topic_id, entry.number, entry.body)
        return Topic.of(entry.number, _record(topic_id, entry))

    async def _newest_versions(self) -> dict[UUID, int]:
        newest: dict[UUID, int] = {}
        async for info in self._store.list(TOPICS):
            key = parse_key(info.key)
            if isinstance(key, TopicKey):
                newest[key.topic_id] = key.version  # sorted: the newest comes last
        return newest

    async def _read_many(self, versions: Mapping[UUID, int]) -> dict[UUID, tuple[int, TopicRecord]]:
        gate = asyncio.Semaphore(_LEDGERS_AT_ONCE)

        async def one(topic_id: UUID, version: int) -> tuple[UUID, tuple[int, TopicRecord]]:
            async with gate:
                entry = await Ledger(self._store, topic_ledger(topic_id)).get(version)
            return topic_id, (version, _record(topic_id, entry))

        return dict(await asyncio.gather(*(one(topic_id, version) for topic_id, version in versions.items())))


def _record(topic_id: UUID, entry: LedgerEntry) -> TopicRecord:
    return TopicRecord.decode(entry.body, TopicKey(topic_id, entry.number).key)
