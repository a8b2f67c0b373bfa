"""Takes deleted topics away: first the decision that nothing brings them back, then their objects, their ledger last.

A deletion becomes final by a record in the topic's own ledger, of which and an undelete one wins. One grace after it
was seen everything goes but the ledger; once nothing was found any more, the ledger goes after another grace, its
newest record last of all: until then whoever is slow still learns that the topic is purged, and a cycle that dies half
way is finished by the next. Objects of a topic that no ledger and no name knows are the rest of such a topic.
"""

import logging
from collections.abc import Collection
from uuid import UUID

from compactor.garbage import DeadSince, Ledgers, TopicState
from compactor.garbage_limits import GarbageLimits
from infra.clock import Clock
from infra.cluster.records import TopicRecord
from infra.cluster.topics import TopicLedger
from infra.object_key import (
    epochs_of_topic,
    manifests_of_topic,
    records_of_topic,
    releases_of_topic,
    table_of_topic,
    topic_ledger,
)
from infra.store.port import ObjectStore
from infra.view.port import View

log = logging.getLogger(__name__)

_NOTED = 100_000  # topics


def prefixes_of(topic_id: UUID) -> tuple[str, ...]:
    """Where all of a topic's own objects are, except its ledger: what names others before what is named."""
    return (
        table_of_topic(topic_id),
        records_of_topic(topic_id),
        manifests_of_topic(topic_id),
        releases_of_topic(topic_id),
        epochs_of_topic(topic_id),
    )


class GoneTopics:
    """Remembers since when topics are gone and since when nothing is left of them."""

    def __init__(
        self, store: ObjectStore, view: View, clock: Clock, topics: TopicLedger, limits: GarbageLimits
    ) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._topics = topics
        self._limits = limits
        self._gone = DeadSince[UUID](_NOTED)
        self._empty = DeadSince[UUID](_NOTED)

    async def purge(self, ledgers: Ledgers) -> list[UUID]:
        """Make deletions final whose time is over; answers the topics."""
        now_ms = self._clock.now_ms()
        due = [one for one, state in ledgers.topics.items() if state.purge_due(self._limits.undelete_ms, now_ms)]
        purged = []
        for topic_id in sorted(due)[: self._limits.topics]:
            state = ledgers.topics[topic_id]
            if state.record is not None and await self._topics.purge(topic_id, state.version, state.record):
                log.info("topic %r (%s) was deleted long enough ago: it is gone for good", state.record.name, topic_id)
                purged.append(topic_id)
        return purged

    async def clear(self, ledgers: Ledgers, seen: Collection[UUID]) -> list[str]:
        """Delete what is left of topics that are gone; `seen`: topics of which something was listed. The keys."""
        now, grace_seconds = self._clock.monotonic(), self._limits.grace_ms / 1000
        gone = sorted({*(one for one in seen if ledgers.is_gone(one)), *_purged(ledgers)})
        for topic_id in gone:
            self._gone.note(topic_id, True, now)
        deleted: list[str] = []
        turns = self._limits.topics
        for topic_id in gone:
            waits = topic_id in self._empty and not self._empty.is_ripe(topic_id, grace_seconds, now)
            if waits or not self._gone.is_ripe(topic_id, grace_seconds, now):
                continue
            room = self._limits.deletes - len(deleted)
            if turns == 0 or room <= 0:
                break
            turns -= 1
            deleted += await self._clear_one(topic_id, ledgers.topics.get(topic_id), room, now)
        await self._forget(ledgers)
        return deleted

    async def _clear_one(self, topic_id: UUID, state: TopicState | None, most: int, now: float) -> list[str]:
        if state is not None and state.record is not None:
            await self._topics.give_back(state.record.name, topic_id, state.version)
        left = await self._left(topic_id, most)
        if left:
            self._empty.note(topic_id, False, now)
            await self._store.delete(left)
            return left
        if state is None:
            self._gone.forget([topic_id])
            return []
        if topic_id not in self._empty:
            self._empty.note(topic_id, True, now)
            return []
        entries = [info.key async for info in self._store.list(topic_ledger(topic_id) + "/")]
        await self._store.delete(entries[:-1])
        await self._store.delete(entries[-1:])
        self._gone.forget([topic_id])
        self._empty.forget([topic_id])
        return entries

    async def _left(self, topic_id: UUID, most: int) -> list[str]:
        left: list[str] = []
        for prefix in prefixes_of(topic_id):
            async for info in self._store.list(prefix):
                left.append(info.key)
                if len(left) >= most:
                    return left
        return left

    async def _forget(self, ledgers: Ledgers) -> None:
        """Let the view forget purged topics that have no ledger any more."""
        for topic_id, (_, body) in (await self._view.topics()).items():
            if topic_id not in ledgers.topics and TopicRecord.decode(body, f"topic {topic_id} in the view").purged:
                await self._view.remove_topic(topic_id)


def _purged(ledgers: Ledgers) -> list[UUID]:
    return [topic_id for topic_id, state in ledgers.topics.items() if state.gone]
