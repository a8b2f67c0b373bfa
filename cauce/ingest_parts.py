"""The parts of a node that leads partitions, made and joined: nothing here starts anything.

Each part knows only its ports; this is the one place that knows them all.
"""

from collections.abc import Callable, Iterable, Mapping

from cauce.node_metrics import IngestMetrics
from cauce.shared_parts import SharedParts
from cauce.transaction_parts import CoordinatedTransactions
from infra.cluster.state import Topic
from infra.errors import CauceError
from infra.partition import SessionId
from infra.settings import Settings
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.group_effects import GroupLimits
from ingest.coordinator.offsets import OffsetLimits
from ingest.coordinator.topic_watch import TopicWatch
from ingest.flush_plan import GATHER_MS, FlushPolicy, FlushTrigger
from ingest.leaders import IngestLimits, Leaders
from ingest.manifests import ManifestFollower
from ingest.markers import MarkerWriter
from ingest.produced import TopicTarget
from ingest.publish import Repair
from ingest.segment_build import segment_builder
from ingest.verification import Verifier
from ingest.wal.writer import Wal
from reader.log_source import LedLogs
from reader.referrals import Referrals


class IngestParts:
    """Every part that leases and the handlers of a leading node need, beside the shared ones."""

    def __init__(self, shared: SharedParts, wal: Wal, repair: Repair) -> None:
        # Whoever keeps the leases sets it: the write side has given up a session.
        self.on_lost: Callable[[SessionId, CauceError], None] = lambda session, error: None
        self.shared = shared
        self.wal = wal
        self.ingest_metrics = IngestMetrics(shared.metrics)
        self._targets: dict[str, tuple[Topic, Mapping[str, str], TopicTarget]] = {}
        self.leaders = self._make_leaders(repair)
        self.manifests = ManifestFollower(
            ledger=shared.manifest_ledger,
            view=shared.view,
            clock=shared.clock,
            state=shared.state,
            logs=self.leaders.logs,
        )
        self.transactions = CoordinatedTransactions(
            shared,
            self.leaders,
            lambda marker, partitions: self.markers.write(marker, partitions),
            self.ingest_metrics,
        )
        self.verifier = Verifier(
            self.transactions.check, shared.state.behind, clock=shared.clock, observer=self.ingest_metrics
        )
        self.coordinator = self._make_coordinator()
        self.markers = MarkerWriter(self.leaders, self.coordinator, shared.clock)
        self.referrals = Referrals(shared.state.readers, shared.settings["broker.rack"] or None, shared.clock)
        self.leaders.listen(self.coordinator)
        self.leaders.listen(self.transactions.coordinator)
        shared.state.on_change(TopicWatch(shared.state, self.coordinator.on_topics_deleted))

    def _make_leaders(self, repair: Repair) -> Leaders:
        shared, settings = self.shared, self.shared.settings
        return Leaders(
            wal=self.wal,
            store=shared.store,
            view=shared.view,
            build=segment_builder(shared.state.cluster_id),
            repair=repair,
            on_lost=lambda session, error: self.on_lost(session, error),
            policy=_flush_policy(settings),
            limits=IngestLimits(
                tail_bytes=settings["cauce.tail.bytes"],
                producer_expiration_ms=settings["producer.id.expiration.ms"],
            ),
            clock=shared.clock,
            observer=self.ingest_metrics,
        )

    def _make_coordinator(self) -> GroupCoordinator:
        shared = self.shared
        return GroupCoordinator(
            directory=shared.state,
            appender=self.leaders,
            source=LedLogs(self.leaders, shared.catch_up),
            view=shared.view,
            guard=shared.session,
            clock=shared.clock,
            limits=_group_limits(shared.settings),
            offset_limits=_offset_limits(shared.settings),
            find_log=self.leaders.log,
            verifier=self.verifier,
        )

    def find_topic(self, name: str) -> TopicTarget | None:
        """A topic as Produce needs it; asked for each request, so what its configs come to is kept."""
        topic, broker_configs = self.shared.state.topic_by_name(name), self.shared.state.broker_configs
        if topic is None:
            self._targets.pop(name, None)
            return None
        kept = self._targets.get(name)
        if kept is None or kept[0] is not topic or kept[1] is not broker_configs:
            target = TopicTarget(topic.topic_id, topic.partitions, self.shared.settings_of(topic))
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
            flush_bytes=settings.flush_bytes("object"),
            flush_interval_ms=settings.flush_interval_ms("object"),
            gather_ms=GATHER_MS,
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
