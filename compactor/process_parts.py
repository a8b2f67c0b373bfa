"""The parts of a compactor process above store and view, made and joined: nothing here starts anything."""

from compactor.cleaning_pass import CleaningTools
from compactor.cleaning_step import Cleaning, CleaningLimits
from compactor.compaction import Compaction
from compactor.compaction_step import CompactionStep
from compactor.current_settings import CurrentSettings
from compactor.document import Document
from compactor.footers import Footers
from compactor.garbage_limits import GarbageLimits
from compactor.meter import Meter
from compactor.planner import CompactionLimits
from compactor.reconcile import Garbage
from compactor.replace import Replacer
from compactor.retention_step import Retention
from compactor.schedule import Schedule
from compactor.segment_output import Bench
from compactor.table_step import TableLimits, Tables
from compactor.worker import Chore, Worker
from infra.clock import Clock
from infra.cluster.manifest import ManifestLedger
from infra.cluster.state import ClusterState, Topic
from infra.cluster.topics import TopicLedger
from infra.partition import PartitionId
from infra.store.location import bucket_location
from infra.store.port import ObjectStore
from infra.table_config import catalog_properties
from infra.topic_config import TopicSettings, topic_settings
from infra.view.port import View

FOOTER_BYTES = 32 << 20


class CompactorParts:
    """Steps and chores of one process, in the order of their turns, and the worker that calls them."""

    def __init__(
        self,
        document: Document,
        clock: Clock,
        meter: Meter,
        store: ObjectStore,
        view: View,
        bench: Bench,
        cluster_id: str,
    ) -> None:
        self.state = ClusterState(view, clock, cluster_id)
        self._settings = document.settings
        self._node_id = document.node_id
        self._owner = f"{document.node_id}.{clock.token()}"
        self._clock = clock
        self._meter = meter
        self._store = store
        self._view = view
        self._bench = bench
        self._cluster_id = cluster_id
        self._replacer = Replacer(ManifestLedger(store), view)
        self._footers = Footers(store, FOOTER_BYTES)
        self._current = CurrentSettings(store, self._settings.durability)
        self._retention = self._make_retention()
        self._compaction = self._make_compaction()
        self._cleaning = self._make_cleaning()
        self.tables = self._make_tables()
        self.worker = self._make_worker()

    def _settings_of(self, topic: Topic) -> TopicSettings:
        return topic_settings(topic.configs, self.state.broker_configs, self._settings.durability)

    def _forget(self, partition: PartitionId) -> None:
        for step in (self._retention, self._compaction, self._cleaning, self.tables):
            step.forget(partition)

    def _make_retention(self) -> Retention:
        return Retention(
            self._replacer,
            self._footers,
            self._current,
            self._clock,
            interval_ms=self._settings["log.retention.check.interval.ms"],
            producer_expiration_ms=self._settings["producer.id.expiration.ms"],
        )

    def _make_compaction(self) -> CompactionStep:
        settings = self._settings
        compaction = Compaction(
            self._bench,
            self._replacer,
            self._footers,
            self._meter,
            self._cluster_id,
            producer_expiration_ms=settings["producer.id.expiration.ms"],
        )
        limits = CompactionLimits(settings["cauce.compaction.bytes"], settings["cauce.compaction.age.ms"] / 1000)
        return CompactionStep(compaction, self._replacer, limits, self._clock, self._meter)

    def _make_cleaning(self) -> Cleaning:
        settings = self._settings
        limits = CleaningLimits(
            settings["log.cleaner.enable"],
            settings["log.cleaner.backoff.ms"],
            settings["log.cleaner.dedupe.buffer.size"],
        )
        tools = CleaningTools(self._bench, self._replacer, self._meter, self._cluster_id)
        return Cleaning(tools, self._current, limits)

    def _make_tables(self) -> Tables:
        settings = self._settings
        limits = TableLimits(
            settings["cauce.table.commit.interval.ms"] / 1000,
            settings["cauce.table.snapshot.retention.ms"],
            settings["cauce.garbage.grace.ms"],
        )
        return Tables(
            store=self._store,
            location=bucket_location(settings.bucket),
            catalog=catalog_properties(settings["cauce.table.catalog"]),
            folder=settings.data / "tables",
            limits=limits,
            state=self.state,
            settings_of=self._settings_of,
            topics=TopicLedger(self._store, self._view, self._clock),
            replacer=self._replacer,
            view=self._view,
            owner=self._owner,
            clock=self._clock,
            meter=self._meter,
        )

    def _make_worker(self) -> Worker:
        interval_seconds = self._settings["cauce.compaction.interval.ms"] / 1000
        return Worker(
            state=self.state,
            view=self._view,
            replacer=self._replacer,
            steps=[self._retention, self._compaction, self._cleaning, self.tables],
            schedule=Schedule(interval_seconds, self._node_id),
            settings_of=self._settings_of,
            owner=self._owner,
            interval_seconds=interval_seconds,
            clock=self._clock,
            meter=self._meter,
            chores=self._chores(),
            on_gone=self._forget,
        )

    def _chores(self) -> list[Chore]:
        """Garbage collection is of the whole bucket; a node that starts again goes on with it at once."""
        settings = self._settings
        interval_ms = settings["cauce.garbage.interval.ms"]
        limits = GarbageLimits(
            grace_ms=settings["cauce.garbage.grace.ms"],
            undelete_ms=settings["cauce.topic.undelete.ms"],
            interval_ms=interval_ms,
        )
        garbage = Garbage(
            self._store,
            self._view,
            self._clock,
            self._replacer,
            limits,
            owner=f"node {self._node_id}",
            named_by_tables=self.tables.named,
        )
        return [
            Chore("tables", interval_ms / 1000, self.tables.sweep),
            Chore("garbage collection", interval_ms / 1000, garbage.run),
        ]
