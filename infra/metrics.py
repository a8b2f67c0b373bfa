"""Every metric of a node, declared once, with bounded labels: topics beyond the first MAX_TOPICS count as `other`."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MAX_TOPICS = 200  # label values a metric may have for topics and groups; Prometheus pays for each of them
OTHER = "other"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class BoundedLabels:
    """The first `most` names keep their own label, the others share one."""

    def __init__(self, most: int = MAX_TOPICS) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        if name in self._known:
            return name
        if len(self._known) < self._most:
            self._known.add(name)
            return name
        return OTHER


class Metrics:
    """One node's metrics in a registry of their own, so that several nodes can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.topic_label = BoundedLabels()
        self.group_label = BoundedLabels()
        self.append_seconds = self._histogram("cauce_append_seconds", "From a Produce request to its acknowledgement.")
        self.wal_sync_seconds = self._histogram("cauce_wal_sync_seconds", "One group write and sync of the WAL.")
        self.flush_seconds = self._histogram("cauce_flush_seconds", "Building one batch segment and its PUT.")
        self.publish_seconds = self._histogram("cauce_publish_seconds", "Making one batch segment visible.")
        self.fetch_seconds = self._histogram(
            "cauce_fetch_seconds", "From a Fetch request to its answer, waiting included."
        )
        self.bytes_in = self._counter("cauce_topic_bytes_in", "Bytes of record batches appended.", ("topic",))
        self.records_in = self._counter("cauce_topic_records_in", "Records appended.", ("topic",))
        self.bytes_out = self._counter("cauce_topic_bytes_out", "Bytes of record batches fetched.", ("topic",))
        self.high_watermark = self._gauge(
            "cauce_partition_high_watermark", "High watermark of led partitions.", ("topic", "partition")
        )
        self.unflushed_bytes = self._gauge("cauce_unflushed_bytes", "Bytes appended and not yet published.")
        self.wal_bytes = self._gauge("cauce_wal_bytes", "Bytes of the WAL that are in use.")
        self.store_requests = self._counter("cauce_store_requests", "Object-store requests by kind.", ("kind",))
        self.store_errors = self._counter(
            "cauce_store_errors", "Object-store requests that failed, by kind.", ("kind",)
        )
        self.referred = self._counter("cauce_referred", "Times a consumer of a partition was sent to a reader node.")
        self.followed_partitions = self._gauge("cauce_followed_partitions", "Partitions that a reader node follows.")
        self.followed_bytes = self._counter("cauce_followed_bytes", "Bytes of record batches taken from leaders.")
        self.leases = self._gauge("cauce_leases", "Partitions that this node leads.")
        self.group_lag = self._gauge(
            "cauce_group_lag_records", "Records above the committed offset.", ("group", "topic")
        )
        self.group_lag_seconds = self._gauge(
            "cauce_group_lag_seconds", "Age of the oldest record above the committed offset.", ("group", "topic")
        )
        self.transactions_open = self._gauge(
            "cauce_transactions_open", "Transactions that this node coordinates and that are open."
        )
        self.transactions_ended = self._counter(
            "cauce_transactions_ended", "Transactions that this node decided, by outcome.", ("outcome",)
        )
        self.transactions_timed_out = self._counter(
            "cauce_transactions_timed_out", "Transactions that this node aborted because they took too long."
        )
        self.markers_pending = self._gauge(
            "cauce_transaction_markers_pending", "Partitions that wait for the marker of a decided transaction."
        )
        self.verification_seconds = self._histogram(
            "cauce_transaction_verification_seconds",
            "Waiting for a coordinator's word that a partition is in a transaction.",
        )
        self.requests = self._counter("cauce_requests", "Requests answered, by API.", ("api",))
        self.request_seconds = self._histogram("cauce_request_seconds", "From request to answer, by API.", ("api",))
        self.request_errors = self._counter("cauce_request_errors", "Requests that cost their connection.", ("api",))
        self.connections = self._gauge("cauce_connections", "Open client connections.")
        self.connections_refused = self._counter("cauce_connections_refused", "Connections beyond a limit.")
        self.bad_frames = self._counter("cauce_bad_frames", "Bytes from the network that were no request.")
        self.authentication_failed = self._counter(
            "cauce_authentication_failed", "Clients that did not prove who they are, or not in time."
        )

    def _histogram(self, name: str, doc: str, labels: Sequence[str] = ()) -> Histogram:
        return Histogram(name, doc, labels, registry=self.registry, buckets=_SECONDS)

    def _counter(self, name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, doc, labels, registry=self.registry)

    def _gauge(self, name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, doc, labels, registry=self.registry)

    def replace_gauge(self, gauge: Gauge, rows: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """Set a labelled gauge to these rows alone: what is not led any more must not linger."""
        gauge.clear()
        for labels, value in rows:
            gauge.labels(*labels).set(value)
