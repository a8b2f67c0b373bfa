"""A node's cached picture of its cluster: topics, live nodes, leaders, manifests, broker configs; no answer needs I/O.

It follows the view and is as old as the last answer from there; while the view is away it stays as it was. What it says
is good for Metadata and for deciding whom to ask. Nobody may append or acknowledge because of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from uuid import UUID

from infra.clock import Clock
from infra.cluster.known_settings import KnownSettings
from infra.cluster.records import NO_CONFIGS, TopicRecord
from infra.errors import CauceError, Unavailable
from infra.partition import Lease, PartitionId, SessionId
from infra.view.port import FORMATS, LiveSession, Source, View, ViewLost

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5  # how often the view is asked when no hint comes
LINGER_SECONDS = 10.0  # a node whose session is over has another one by then, if it lives
BROKER_CONFIGS = "broker"  # kind of setting


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that exists."""

    topic_id: UUID
    name: str
    partitions: int
    configs: Mapping[str, str]
    version: int  # of its ledger

    @classmethod
    def of(cls, version: int, record: TopicRecord) -> "Topic":
        """As a version of its ledger says."""
        return cls(record.topic_id, record.name, record.partitions, record.configs, version)


@runtime_checkable
class HintingView(Protocol):
    """A view that can wake those who wait for changes."""

    async def wait_hint(self, timeout: float) -> bool:
        """Return when something changed, or after `timeout` seconds."""


class ClusterState:
    """Implements `TopicDirectory`."""

    def __init__(
        self,
        view: View,
        clock: Clock,
        cluster_id: str,
        *,
        recover: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`recover` is awaited when the view has no incarnation: it rebuilds the view, or waits until another has."""
        self.cluster_id = cluster_id
        self._view = view
        self._clock = clock
        self._recover = recover
        self._source: Source | None = None
        self._source_since = clock.monotonic()
        self._generation: int | None = None
        self._topics: dict[UUID, Topic] = {}
        self._deleted: set[UUID] = set()
        self._topic_ids: dict[str, UUID] = {}
        self._versions: dict[UUID, int] = {}
        self._settings = KnownSettings()
        self._nodes: tuple[LiveSession, ...] = ()
        self._vanished: dict[int, tuple[LiveSession, float]] = {}  # node id → who does not renew any more, until when
        self._live: frozenset[SessionId] = frozenset()
        self._manifests: dict[PartitionId, int] = {}
        self._leaders: dict[PartitionId, Lease] = {}  # their sessions may have lapsed
        self._on_change: list[Callable[[], None]] = []
        self._changed = asyncio.Event()
        self._refreshing = asyncio.Lock()

    # topics
    def topic_by_name(self, name: str) -> Topic | None:
        """A topic that exists."""
        topic_id = self._topic_ids.get(name)
        return None if topic_id is None else self._topics[topic_id]

    def topic_by_id(self, topic_id: UUID) -> Topic | None:
        """A topic that exists."""
        return self._topics.get(topic_id)

    def topics(self) -> list[Topic]:
        """All topics that exist, by name."""
        return [self._topics[self._topic_ids[name]] for name in sorted(self._topic_ids)]

    def is_deleted(self, topic_id: UUID) -> bool:
        """Whether a topic is known to have been deleted; False also for one that nothing is known of."""
        return topic_id in self._deleted

    # nodes and leaders
    def nodes(self) -> list[LiveSession]:
        """Who renews, by node id."""
        return list(self._nodes)

    def brokers(self) -> list[LiveSession]:
        """The nodes that clients are told of, by node id: those with listeners.

        Clients give up a node that they are not told of any more, with what they do there, and one that is told of none
        may find no way back. So a node stays for a while after its session is over, and the last ones for ever.
        """
        now = self._clock.monotonic()
        vanished = [node for node, until in self._vanished.values() if now < until]
        known = (*self._nodes, *vanished) or [node for node, _ in self._vanished.values()]
        return sorted((node for node in known if node.endpoints), key=lambda node: node.session.node_id)

    def ingest_nodes(self) -> list[int]:
        """Ids of the live nodes that lead partitions."""
        return [node.session.node_id for node in self._nodes if "ingest" in node.roles]

    def readers(self) -> list[LiveSession]:
        """The live nodes that lead nothing and serve what others lead, by node id."""
        return [node for node in self._nodes if "reader" in node.roles and "ingest" not in node.roles]

    def behind(self) -> list[int]:
        """Ids of the live nodes of an earlier release, which cannot read all that this one may write."""
        return [node.session.node_id for node in self._nodes if node.formats < FORMATS]

    def replicas(self, lease: Lease) -> list[int]:
        """Ids of the nodes that consumers of a partition may read: its leader, then the readers."""
        return [lease.session.node_id, *(node.session.node_id for node in self.readers())]

    @property
    def controller_id(self) -> int:
        """The lowest live ingest node's id, for clients that want to know one; -1 without any."""
        return min(self.ingest_nodes(), default=-1)

    def leader(self, partition: PartitionId) -> Lease | None:
        """Who leads, None when nobody live does."""
        lease = self._leaders.get(partition)
        return lease if lease is not None and lease.session in self._live else None

    def last_leader(self, partition: PartitionId) -> Lease | None:
        """The last lease the view knows of, also when its session has lapsed; None when it was released."""
        return self._leaders.get(partition)

    # manifests
    def manifest_version(self, partition: PartitionId) -> int:
        """How far a partition's manifest ledger has come, as far as the view knows; -1: nothing is known."""
        return self._manifests.get(partition, -1)

    # configs
    @property
    def broker_configs(self) -> Mapping[str, str]:
        """Cluster-wide broker configs that were altered."""
        return self.settings(BROKER_CONFIGS).get("", NO_CONFIGS)

    def settings(self, kind: str) -> Mapping[str, Mapping[str, str]]:
        """The settings of a kind: name → values. It is another object whenever one of them has changed."""
        return self._settings.of(kind)

    # by whose word
    @property
    def source(self) -> Source | None:
        """Incarnation and server of the view this picture is from; None before the first refresh."""
        return self._source

    @property
    def incarnation(self) -> str | None:
        """Of the view this picture is from; None before the first refresh."""
        return None if self._source is None else self._source.incarnation

    @property
    def source_age_seconds(self) -> float:
        """How long this node has had its picture from that incarnation and that server."""
        return self._clock.monotonic() - self._source_since

    # following
    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each refresh that brought something new. It must not block."""
        self._on_change.append(callback)

    async def refresh(self) -> bool:
        """Ask the view, when its generation has moved; True when something may have changed.

        Raises `Unavailable` when the view does not answer; the picture stays then.
        """
        async with self._refreshing:  # an older answer must not come after a newer one
            try:
                return await self._read()
            except ViewLost:
                if self._recover is None:
                    raise
            await self._recover()
            return await self._read()

    async def run(self) -> None:
        """Refresh for ever: at each hint, and every half second."""
        away = False
        while True:
            try:
                await self.refresh()
                if away:
                    log.warning("the view answers again")
                away = False
            except CauceError as error:
                if not away:
                    log.warning("the view does not answer as it should, its last picture stays: %s", error)
                away = True
            await self._wait(away)

    async def wait_until(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Wait until the picture fulfils `predicate`, for `timeout` seconds at the most; whether it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not predicate():
                    await self._changed.wait()
        return predicate()

    async def _wait(self, away: bool) -> None:
        if isinstance(self._view, HintingView) and not away:
            with contextlib.suppress(Unavailable):
                await self._view.wait_hint(POLL_SECONDS)
                return
        await asyncio.sleep(POLL_SECONDS)

    async def _read(self) -> bool:
        incarnation = await self._view.incarnation()
        if incarnation is None:
            raise ViewLost("the view has no incarnation")
        await self._view.use(incarnation)  # also when the picture is from it: another may have been used since
        members = await self._view.members()  # before the others: what changes meanwhile raises the generation again
        if (members.source, members.generation) == (self._source, self._generation):
            return False
        topics, settings, leaders, manifests = await asyncio.gather(
            self._view.topics(), self._view.settings(), self._view.leaders(), self._view.manifests()
        )
        self._take_topics(topics)
        self._settings.take(settings)
        self._take_nodes(members.sessions)
        self._live = frozenset(node.session for node in members.sessions)
        self._leaders = leaders
        self._manifests = manifests
        if members.source != self._source:
            self._source, self._source_since = members.source, self._clock.monotonic()
        self._generation = members.generation
        self._tell()
        return True

    def _take_nodes(self, nodes: Sequence[LiveSession]) -> None:
        now, live = self._clock.monotonic(), {node.session.node_id for node in nodes}
        vanished = {node_id: one for node_id, one in self._vanished.items() if now < one[1] or not self._nodes}
        vanished.update((node.session.node_id, (node, now + LINGER_SECONDS)) for node in self._nodes)
        self._vanished = {node_id: one for node_id, one in vanished.items() if node_id not in live}
        self._nodes = tuple(nodes)

    def _take_topics(self, told: Mapping[UUID, tuple[int, bytes]]) -> None:
        for topic_id in [known for known in self._versions if known not in told]:
            self._forget(topic_id)
        for topic_id, (version, body) in told.items():
            if self._versions.get(topic_id) == version:
                continue
            record = TopicRecord.decode(body, f"topic {topic_id} in the view")
            self._forget(topic_id)
            self._versions[topic_id] = version
            if record.deleted_ms is not None:
                self._deleted.add(topic_id)
                continue
            self._topics[topic_id] = Topic.of(version, record)
            self._topic_ids[record.name] = topic_id

    def _forget(self, topic_id: UUID) -> None:
        self._versions.pop(topic_id, None)
        self._deleted.discard(topic_id)
        topic = self._topics.pop(topic_id, None)
        if topic is not None and self._topic_ids.get(topic.name) == topic_id:
            del self._topic_ids[topic.name]

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for callback in self._on_change:
            callback()
