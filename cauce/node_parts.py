"""The parts of a node above store and view, made and joined: nothing here starts anything.

Each part knows only its ports; this is the one place that knows them all.
"""

from collections.abc import Callable, Iterable, Mapping

from cauce.node_metrics import IngestMetrics, ReadMetrics
from cauce.topic_admin import TopicAdmin
from infra.clock import Clock
from infra.cluster.manifest import ManifestLedger
from infra.cluster.producer_ids import ProducerIds
from infra.cluster.settings import BrokerConfigLedger
from infra.cluster.state import ClusterState, Topic
from infra.cluster.topics import TopicLedger
from infra.errors import CauceError, Fenced
from infra.metrics import Metrics
from infra.partition import SessionId
from infra.ports import SessionGuard
from infra.settings import Settings
from infra.store.port import ObjectStore
from infra.topic_config import TopicSettings, topic_settings
from infra.view.redis_view import RedisView
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.group_effects import GroupLimits
from ingest.coordinator.offsets import OffsetLimits
from ingest.coordinator.topic_watch import TopicWatch
from ingest.flush_plan import FlushPolicy, FlushTrigger
from ingest.leaders import IngestLimits, Leaders
from ingest.manifests import ManifestFollower
from ingest.produced import TopicTarget
from ingest.publish import Repair
from ingest.segment_build import segment_builder
from ingest.wal.writer import Wal
from reader.catch_up import CatchUpReader
from reader.log_source import LedLogs


class CurrentSession:
    """The node's session of the moment: a `SessionGuard` that goes on when the node registers anew."""

    def __init__(self) -> None:
        self._guard: SessionGuard | None = None

    def begin(self, guard: SessionGuard) -> None:
        """The node has a new session."""
        self._guard = guard

    @property
    def session(self) -> SessionId:
        """Raises `Fenced` before the first."""
        return self._current.session

    def check_ttl(self) -> None:
        """As `SessionGuard.check_ttl`."""
        self._current.check_ttl()

    async def look_for_fence(self) -> None:
        """As `SessionGuard.look_for_fence`."""
        await self._current.look_for_fence()

    @property
    def _current(self) -> SessionGuard:
        if self._guard is None:
            raise Fenced("this node has no session yet")
        return self._guard


class NodeParts:
    """Every part that handlers and leases need."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        store: ObjectStore,
        cold_store: ObjectStore,
        view: RedisView,
        state: ClusterState,
        wal: Wal,
        repair: Repair,
    ) -> None:
        """`cold_store`: the same bucket through connections of its own, so that a replay slows no flush."""
        # Whoever keeps the leases sets these two: the write side has given up a session, and topics have changed.
        self.on_lost: Callable[[SessionId, CauceError], None] = lambda session, error: None
        self.on_topics_changed: Callable[[], None] = lambda: None
        self.settings = settings
        self.clock = clock
        self.state = state
        self.wal = wal
        self.session = CurrentSession()
        self.ingest_metrics = IngestMetrics(metrics)
        self.read_metrics = ReadMetrics(metrics)
        self.topic_ledger = TopicLedger(store, view, clock)
        self.broker_configs = BrokerConfigLedger(store, view)
        self.manifest_ledger = ManifestLedger(store)
        self.producer_ids = ProducerIds(store, lambda: self.session.session)
        self.catch_up = CatchUpReader(cold_store, cache_bytes=settings["cauce.cache.bytes"])
        self._targets: dict[str, tuple[Topic, Mapping[str, str], TopicTarget]] = {}
        self.leaders = Leaders(
            wal=wal,
            store=store,
            view=view,
            build=segment_builder(state.cluster_id),
            repair=repair,
            on_lost=lambda session, error: self.on_lost(session, error),
            policy=_flush_policy(settings),
            limits=IngestLimits(
                tail_bytes=settings["cauce.tail.bytes"],
                producer_expiration_ms=settings["producer.id.expiration.ms"],
            ),
            clock=clock,
            observer=self.ingest_metrics,
        )
        self.manifests = ManifestFollower(
            ledger=ManifestLedger(store), view=view, clock=clock, state=state, logs=self.leaders.logs
        )
        self.coordinator = GroupCoordinator(
            directory=state,
            appender=self.leaders,
            source=LedLogs(self.leaders, self.catch_up),
            view=view,
            guard=self.session,
            clock=clock,
            limits=_group_limits(settings),
            offset_limits=_offset_limits(settings),
        )
        self.leaders.listen(self.coordinator)
        state.on_change(TopicWatch(state, self.coordinator.on_topics_deleted))
        self.topic_admin = TopicAdmin(
            state,
            self.topic_ledger,
            default_partitions=settings["num.partitions"],
            internal_partitions=settings["offsets.topic.num.partitions"],
            changed=lambda: self.on_topics_changed(),
        )

    def settings_of(self, topic: Topic) -> TopicSettings:
        """A topic's configs as the write side obeys them."""
        return topic_settings(topic.configs, self.state.broker_configs, self.settings.durability)

    def find_topic(self, name: str) -> TopicTarget | None:
        """A topic as Produce needs it; asked for each request, so what its configs come to is kept."""
        topic, broker_configs = self.state.topic_by_name(name), self.state.broker_configs
        if topic is None:
            self._targets.pop(name, None)
            return None
        kept = self._targets.get(name)
        if kept is None or kept[0] is not topic or kept[1] is not broker_configs:
            target = TopicTarget(topic.topic_id, topic.partitions, self.settings_of(topic))
            kept = self._targets[name] = (topic, broker_configs, target)
        return kept[2]

    def committed(self) -> Iterable[tuple[str, str, int, int]]:
        """(group, topic, partition, offset) of every offset that this node's coordinators know."""
        for group, rows in self.coordinator.committed().items():
            for (topic, partition), row in rows.items():
                yield group, topic, partition, row.offset


def _flush_policy(settings: Settings) -> FlushPolicy:
    return FlushPolicy(
        object=FlushTrigger(
            flush_bytes=settings.flush_bytes("object"), flush_interval_ms=settings.flush_interval_ms("object")
        ),
        wal=FlushTrigger(flush_bytes=settings.flush_bytes("wal"), flush_interval_ms=settings.flush_interval_ms("wal")),
    )


def _group_limits(settings: Settings) -> GroupLimits:
    return GroupLimits(
        initial_rebalance_delay_ms=settings["group.initial.rebalance.delay.ms"],
        min_session_timeout_ms=settings["group.min.session.timeout.ms"],
        max_session_timeout_ms=settings["group.max.session.timeout.ms"],
        max_size=settings["group.max.size"],
    )


def _offset_limits(settings: Settings) -> OffsetLimits:
    return OffsetLimits(
        metadata_max_bytes=settings["offset.metadata.max.bytes"],
        retention_ms=settings["offsets.retention.minutes"] * 60_000,
        retention_check_interval_ms=settings["offsets.retention.check.interval.ms"],
    )
