"""Joins what the rooms tell with the metrics: the write side's observer, and gauges read when scraped."""

from collections.abc import Callable, Iterable

from infra.clock import Clock
from infra.errors import NotLeader
from infra.metrics import Metrics
from infra.partition import PartitionId
from infra.ports import LogReader, TopicDirectory
from infra.records.batch import BatchHeader
from ingest.coordinator.transaction_coordinator import TransactionCoordinator
from ingest.leaders import Leaders
from ingest.observer import IngestObserver
from reader.observer import ReadObserver

Committed = Callable[[], Iterable[tuple[str, str, int, int]]]  # (group, topic, partition, offset) of this node's groups

_COMMITTED, _ABORTED = "committed", "aborted"


class IngestMetrics(IngestObserver):
    """Counts what the write side tells; label children are kept by topic."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        for outcome in (_COMMITTED, _ABORTED):
            metrics.transactions_ended.labels(outcome)  # there from the start: what does not exist has no rate

    def appended(self, topic: str, records: int, size: int) -> None:
        label = self._metrics.topic_label(topic)
        self._metrics.records_in.labels(label).inc(records)
        self._metrics.bytes_in.labels(label).inc(size)

    def acknowledged(self, seconds: float) -> None:
        self._metrics.append_seconds.observe(seconds)

    def flushed(self, seconds: float, size: int, partitions: int) -> None:
        self._metrics.flush_seconds.observe(seconds)

    def published(self, seconds: float) -> None:
        self._metrics.publish_seconds.observe(seconds)

    def decided(self, commit: bool) -> None:
        self._metrics.transactions_ended.labels(_COMMITTED if commit else _ABORTED).inc()

    def timed_out(self) -> None:
        self._metrics.transactions_timed_out.inc()

    def verified(self, seconds: float) -> None:
        self._metrics.verification_seconds.observe(seconds)

    def leading(self, partitions: int) -> None:
        self._metrics.leases.set(partitions)


class ReadMetrics(ReadObserver):
    """Counts what the read side tells."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def fetched(self, topic: str, size: int) -> None:
        self._metrics.bytes_out.labels(self._metrics.topic_label(topic)).inc(size)

    def answered(self, seconds: float) -> None:
        self._metrics.fetch_seconds.observe(seconds)

    def referred(self, partitions: int) -> None:
        self._metrics.referred.inc(partitions)

    def followed(self, size: int) -> None:
        self._metrics.followed_bytes.inc(size)


class StateMetrics:
    """Gauges that are true when they are asked for: read before each scrape, so that the hot path pays nothing."""

    def __init__(
        self,
        metrics: Metrics,
        leaders: Leaders,
        topics: TopicDirectory,
        committed: Committed,
        transactions: TransactionCoordinator,
        wal_bytes: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._metrics = metrics
        self._leaders = leaders
        self._topics = topics
        self._committed = committed
        self._transactions = transactions
        self._wal_bytes = wal_bytes
        self._clock = clock

    def refresh(self) -> None:
        """Set every gauge."""
        metrics = self._metrics
        metrics.unflushed_bytes.set(self._leaders.unpublished_bytes)
        metrics.wal_bytes.set(self._wal_bytes())
        under_way = self._transactions.under_way()
        metrics.transactions_open.set(under_way.open)
        metrics.markers_pending.set(under_way.markers)
        marks: dict[tuple[str, ...], float] = {}
        for log in self._leaders.logs():
            labels = (metrics.topic_label(log.topic), str(log.partition.partition))
            marks[labels] = marks.get(labels, 0.0) + log.high_watermark  # topics that share a label add up
        metrics.replace_gauge(metrics.high_watermark, marks.items())
        self._refresh_lag()

    def _refresh_lag(self) -> None:
        records: dict[tuple[str, ...], float] = {}
        seconds: dict[tuple[str, ...], float] = {}
        for group, topic, partition, offset in self._committed():
            lag = self._lag(topic, partition, offset)
            if lag is None:
                continue
            labels = (self._metrics.group_label(group), self._metrics.topic_label(topic))
            records[labels] = records.get(labels, 0.0) + lag[0]
            seconds[labels] = max(seconds.get(labels, 0.0), lag[1])
        self._metrics.replace_gauge(self._metrics.group_lag, records.items())
        self._metrics.replace_gauge(self._metrics.group_lag_seconds, seconds.items())

    def _lag(self, name: str, partition: int, offset: int) -> tuple[float, float] | None:
        """Records above the offset and the age of the oldest; None for a partition that another node leads."""
        topic = self._topics.topic_by_name(name)
        if topic is None:
            return None
        try:
            log = self._leaders.log(PartitionId(topic.topic_id, partition))
        except NotLeader:
            return None
        behind = max(0, log.high_watermark - max(offset, log.log_start_offset))
        if not behind:
            return 0.0, 0.0
        age_ms = self._clock.now_ms() - _timestamp_at(log, max(offset, log.log_start_offset))
        return float(behind), max(0.0, age_ms / 1000)


def _timestamp_at(log: LogReader, offset: int) -> int:
    """About when the record at `offset` was written: its batch's base timestamp, or its segment's greatest one."""
    if offset >= log.tail_start_offset:
        batches = log.read_tail(offset, 1, log.high_watermark, True)
        if batches:
            return BatchHeader.parse(batches[0]).base_timestamp
    for segment in log.record_segments_from(offset):
        if segment.records:
            return segment.max_timestamp
    for extent in log.extents_from(offset):
        return extent.max_timestamp
    return 0
