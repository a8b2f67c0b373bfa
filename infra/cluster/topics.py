"""The ledgers of topics: exactly one topic wins a name, and every change is made to the newest version.

A name is won first, with the whole topic in the record, so that whoever finds a name taken by a topic without any
record (its creator died) finishes that creation. A topic is deleted by its last record, and only then is its name given
back.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from uuid import UUID

from infra.clock import Clock
from infra.cluster.records import TopicNameRecord, TopicRecord
from infra.cluster.state import Topic
from infra.error_code import ErrorCode
from infra.errors import Exists, Refused
from infra.object_key import TOPICS, TopicKey, parse_key, topic_ledger, topic_name_ledger
from infra.store.ledger import Ledger, LedgerEntry
from infra.store.port import ObjectStore
from infra.view.port import View

_LEDGERS_AT_ONCE = 32


class TopicLedger:
    """Creates, changes and deletes topics: the bucket decides, then the view is told. Keeps nothing."""

    def __init__(self, store: ObjectStore, view: View, clock: Clock) -> None:
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
        """Delete a topic and give its name back. Raises `Refused(UNKNOWN_TOPIC_ID)` when it is unknown or gone."""
        now_ms = self._clock.now_ms()
        topic = await self._change(topic_id, lambda topic: replace(topic, deleted_ms=now_ms))
        await self._give_back(topic.name, topic_id)

    async def read(self, topic_id: UUID) -> tuple[int, TopicRecord] | None:
        """(version, record) of a topic, also of a deleted one; None when nothing was ever recorded."""
        last = await Ledger(self._store, topic_ledger(topic_id)).last()
        return None if last is None else (last.number, _record(topic_id, last))

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

    async def _check_name_is_free(self, name: str, last: LedgerEntry) -> None:
        holder = TopicNameRecord.decode(last.body, f"name of topic {name!r}").topic
        if holder is None:
            return
        known = await self.read(holder.topic_id)
        if known is None:
            await self._finish_creation(holder)
        elif known[1].deleted_ms is not None:
            return  # whoever deleted it has not given the name back yet
        else:
            await self._view.put_topic(holder.topic_id, known[0], known[1].encode())
        raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic {name!r} exists already")

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

    async def _give_back(self, name: str, topic_id: UUID) -> None:
        names = Ledger(self._store, topic_name_ledger(name))
        last = await names.last()
        if last is None:
            return
        holder = TopicNameRecord.decode(last.body, f"name of topic {name!r}").topic
        if holder is not None and holder.topic_id == topic_id:
            with contextlib.suppress(Exists):  # won by a new topic already
                await names.append(last.number + 1, TopicNameRecord(None).encode())

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
