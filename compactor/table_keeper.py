"""All that is done with the Iceberg library, put together: follow, name, sweep and drop a topic's table.

For one thread; calls that need the bucket wait for the event loop. The only module that others import, and only once
there is a table to keep: the library takes a second to load.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.table import Table

from compactor.table import TableGoal
from compactor.table_catalog import TableCatalog
from compactor.table_commit import bring_to, next_expiry_ms
from compactor.table_files import TableContents
from compactor.table_io import TableStore, named_store
from infra.object_key import table_of_topic
from infra.store.port import ObjectInfo, ObjectStore

_TRIES = 3  # of a commit that others come before


@dataclass(frozen=True, slots=True)
class TableFollowed:
    """What came of it."""

    commits: int
    next_expiry_ms: int | None  # wall clock: when there will be something to do though the topic stands still


class TableKeeper:
    """One for a compactor process."""

    def __init__(
        self,
        store: ObjectStore,
        location: str,
        loop: asyncio.AbstractEventLoop,
        properties: Mapping[str, str],
        is_gone: Callable[[UUID], Coroutine[Any, Any, bool]],
        *,
        token: str,
    ) -> None:
        """`location`: of the bucket; `properties`: of the catalog, as pyiceberg takes them.

        `is_gone`: whether a topic was deleted, for the event loop; `token`: a random word.
        """
        self._store = TableStore(store, location, loop)
        self._naming = named_store(token, self._store)
        properties = {**properties, **self._naming.__enter__()}
        self._catalog = TableCatalog(properties, self._store, lambda topic_id: self._store.wait(is_gone(topic_id)))
        self._contents: dict[UUID, TableContents] = {}

    def close(self) -> None:
        """Its tables' files cannot be read any more."""
        self._naming.__exit__(None, None, None)

    def follow(self, goal: TableGoal, now_ms: int, retention_ms: int) -> TableFollowed:
        """Bring a topic's table to its goal, by one commit at the most. Raises what catalog and store raise."""
        for left in reversed(range(_TRIES)):
            table = self._catalog.find_or_create(goal) if goal.files else self._catalog.find(goal.topic_id, goal.topic)
            if table is None:
                return TableFollowed(0, None)
            try:
                done = bring_to(table, goal, self._contents_of(goal.topic_id), self._store, now_ms - retention_ms)
            except (CommitFailedException, ValidationException):
                if not left:
                    raise
                continue
            return TableFollowed(int(done), next_expiry_ms(table, retention_ms))
        raise AssertionError("the last try answers or raises")

    def named(self, topic_id: UUID, topic: str) -> Collection[str]:
        """Keys of the record segments that live snapshots name."""
        table = self._catalog.find(topic_id, topic)
        return () if table is None else self._contents_of(topic_id).named(table)

    def sweep(self, topic_id: UUID, topic: str, now_ms: int, retention_ms: int, grace_ms: int) -> int:
        """Delete what of a table's metadata nothing needs: of expired snapshots, old versions, commits that failed.

        What is younger than the grace may belong to a commit that is under way. How many objects.
        """
        listed = self._store.wait(self._list(topic_id))  # first: what comes later is not looked at
        table = self._catalog.find(topic_id, topic)
        if table is None:
            return 0
        needed = self._needed(topic_id, table, now_ms - retention_ms)
        dead = [one.key for one in listed if one.key not in needed and one.modified_ms < now_ms - grace_ms]
        self._store.wait(self._store.store.delete(dead))
        return len(dead)

    def drop(self, topic_id: UUID, *, with_files: bool) -> None:
        """Let the catalog forget a table; `with_files`: and delete its metadata. Record segments stay."""
        self._catalog.drop(topic_id)
        self._contents.pop(topic_id, None)
        if with_files:
            keys = [one.key for one in self._store.wait(self._list(topic_id))]
            self._store.wait(self._store.store.delete(keys))

    def _needed(self, topic_id: UUID, table: Table, before_ms: int) -> set[str]:
        return self._contents_of(topic_id).needed(table, before_ms)

    def _contents_of(self, topic_id: UUID) -> TableContents:
        return self._contents.setdefault(topic_id, TableContents(self._store.location))

    async def _list(self, topic_id: UUID) -> list[ObjectInfo]:
        return [info async for info in self._store.store.list(table_of_topic(topic_id))]
