"""kafka-python under the cases."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import kafka.errors
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from infra.error_code import ErrorCode
from tests.wire.client import WAIT_SECONDS, Client, Got, LeftOut, Member, RefusedByServer, Security, Sent, Transactional
from tests.wire.keyword_options import connecting, got_of

T = TypeVar("T")

# kafka-python 3.0.12 drops its assignment when a poll times out between the answers to its JoinGroup and SyncGroup, and
# never joins again. It looks for metadata every 100 ms and joins then, so polls must not end on that beat.
_POLL_MS = 1_050


def _call(action: Callable[[], T]) -> T:
    try:
        return action()
    except KafkaError as error:
        raise RefusedByServer(getattr(error, "errno", None) or ErrorCode.UNKNOWN_SERVER_ERROR, str(error)) from None


class KafkaPythonMember(Member):
    """A subscribed consumer in a thread of its own."""

    def __init__(self, connecting: Mapping[str, Any], topic: str, group: str, options: Mapping[str, Any]) -> None:
        self._consumer = KafkaConsumer(
            topic,
            **connecting,
            group_id=group,
            auto_offset_reset="earliest",
            heartbeat_interval_ms=300,
            **options,
        )
        self._records: list[Got] = []
        self._held: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for records in self._consumer.poll(timeout_ms=_POLL_MS).values():
                self._records.extend(got_of(record) for record in records)
            self._held = {place.partition for place in self._consumer.assignment()}
        self._consumer.close()

    def assignment(self) -> set[int]:
        return set(self._held)

    def records(self) -> list[Got]:
        return list(self._records)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(WAIT_SECONDS)


class KafkaPythonTransactional(Transactional):
    """A transactional producer of kafka-python."""

    def __init__(self, connecting: Mapping[str, Any], transactional_id: str, timeout_ms: int) -> None:
        self._producer = KafkaProducer(
            **connecting,
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            delivery_timeout_ms=int(WAIT_SECONDS * 1000),
        )
        _transact(self._producer.init_transactions)

    def begin(self) -> None:
        _transact(self._producer.begin_transaction)

    def send(self, topic: str, records: Sequence[Sent]) -> None:
        futures = [self._producer.send(topic, one.value, one.key, partition=one.partition) for one in records]
        self._producer.flush(WAIT_SECONDS)
        for future in futures:
            _transact(lambda future=future: future.get(WAIT_SECONDS))  # type: ignore[misc]

    def send_offsets(self, consumer: KafkaConsumer) -> None:
        """Where a group member has read to."""
        offsets = {place: OffsetAndMetadata(consumer.position(place), "", -1) for place in consumer.assignment()}
        _transact(lambda: self._producer.send_offsets_to_transaction(offsets, consumer.group_metadata()))

    def commit(self) -> None:
        _transact(self._producer.commit_transaction)

    def abort(self) -> None:
        _transact(self._producer.abort_transaction)

    def close(self) -> None:
        self._producer.close(timeout=1)


def _transact(action: Callable[[], object]) -> None:
    try:
        _call(action)
    except RefusedByServer as refused:
        if refused.code == ErrorCode.INVALID_PRODUCER_EPOCH:
            refused.code = ErrorCode.PRODUCER_FENCED
        raise


class KafkaPythonClient(Client):
    """The pure-Python client."""

    name: ClassVar[str] = "kafka-python"

    def __init__(self, bootstrap: str, security: Security | None = None, node_count: int = 1) -> None:
        super().__init__(bootstrap, security, node_count)
        self._connecting = connecting(bootstrap, security, lambda authority: {"ssl_cafile": str(authority)})
        self._admin = KafkaAdminClient(**self._connecting)

    def close(self) -> None:
        self._admin.close()

    def create_topic(self, topic: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> None:
        new = NewTopic(topic, partitions, 1, topic_configs=dict(configs or {}))
        _call(lambda: self._admin.create_topics([new]))

    def delete_topic(self, topic: str) -> None:
        _call(lambda: self._admin.delete_topics([topic]))

    def topics(self) -> dict[str, int]:
        rows = _call(lambda: self._admin.describe_topics())
        return {row["name"]: len(row["partitions"]) for row in rows}

    def add_partitions(self, topic: str, count: int) -> None:
        _call(lambda: self._admin.create_partitions({topic: NewPartitions(count)}))

    def topic_config(self, topic: str) -> dict[str, str | None]:
        return self._config(ConfigResourceType.TOPIC, topic)

    def _config(self, kind: ConfigResourceType, name: str) -> dict[str, str | None]:
        found = _call(lambda: self._admin.describe_configs([ConfigResource(kind, name)], config_filter="all"))
        configs = next(iter(found.values()))[name]
        return {key: entry["value"] for key, entry in configs.items()}

    def set_topic_config(self, topic: str, configs: Mapping[str, str]) -> None:
        _call(lambda: self._admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(configs))]))

    def broker_config(self) -> dict[str, str | None]:
        node = _call(self._admin.describe_cluster)["brokers"][0]
        return self._config(ConfigResourceType.BROKER, str(node.get("node_id", node.get("broker_id"))))

    def nodes(self) -> int:
        return len(_call(self._admin.describe_cluster)["brokers"])

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        _call(lambda: self._admin.delete_records({TopicPartition(topic, partition): before}))

    def produce(
        self, topic: str, records: Sequence[Sent], *, codec: str = "none", acks: int = -1, idempotent: bool = False
    ) -> list[int]:
        producer = KafkaProducer(
            **self._connecting,
            compression_type=None if codec == "none" else codec,
            acks="all" if acks == -1 else acks,
            enable_idempotence=idempotent,
            linger_ms=20,
            max_request_size=10_000_000,
            delivery_timeout_ms=int(WAIT_SECONDS * 1000),
        )
        try:
            futures = [
                producer.send(
                    topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    partition=record.partition,
                    timestamp_ms=record.timestamp,
                )
                for record in records
            ]
            producer.flush(WAIT_SECONDS)
            answers = [_call(lambda future=future: future.get(WAIT_SECONDS)) for future in futures]  # type: ignore[misc]
        finally:
            producer.close()
        return [-1 if acks == 0 else answer.offset for answer in answers]

    def _consumer(self, group: str | None = None, options: Mapping[str, object] | None = None) -> KafkaConsumer:
        given = options or {}
        return KafkaConsumer(
            **self._connecting,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset=given.get("reset", "earliest"),
            isolation_level="read_committed" if given.get("read_committed") else "read_uncommitted",
            max_partition_fetch_bytes=given.get("max_partition_bytes", 1_048_576),
            allow_auto_create_topics=False,
        )

    @staticmethod
    def _poll(consumer: KafkaConsumer, count: int) -> list[Got]:
        got: list[Got] = []
        deadline = time.monotonic() + WAIT_SECONDS
        while len(got) < count:
            assert time.monotonic() < deadline, f"{len(got)} of {count} records in time"
            for records in consumer.poll(timeout_ms=_POLL_MS, max_records=count - len(got)).values():
                got.extend(got_of(record) for record in records)
        return got

    def _take(self, consumer: KafkaConsumer, count: int, commit: bool = False) -> list[Got]:
        got = self._poll(consumer, count)
        if commit:
            consumer.commit()
        consumer.close()
        return got

    def read(
        self,
        topic: str,
        count: int,
        *,
        starts: Mapping[int, int] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> list[Got]:
        consumer = self._consumer(options=options)
        partitions = starts or dict.fromkeys(range(self.topics()[topic]), None)
        consumer.assign([TopicPartition(topic, partition) for partition in partitions])
        for partition, offset in partitions.items():
            if offset is not None:
                consumer.seek(TopicPartition(topic, partition), offset)
        if starts is None:
            consumer.seek_to_beginning()
        return self._take(consumer, count)

    def read_group(self, topic: str, group: str, count: int) -> list[Got]:
        consumer = self._consumer(group)
        consumer.subscribe([topic])
        return self._take(consumer, count, commit=True)

    def member(
        self,
        topic: str,
        group: str,
        *,
        instance_id: str | None = None,
        cooperative: bool = False,
        timeout_ms: int = 10_000,
    ) -> Member:
        options: dict[str, Any] = {"session_timeout_ms": timeout_ms}
        if instance_id:
            options["group_instance_id"] = instance_id
        if cooperative:
            try:
                from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyPartitionAssignor
            except ImportError:
                raise LeftOut("no cooperative assignor") from None
            options["partition_assignment_strategy"] = [CooperativeStickyPartitionAssignor]
        return KafkaPythonMember(self._connecting, topic, group, options)

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        place = TopicPartition(topic, partition)
        consumer = self._consumer()
        try:
            low: int = _call(lambda: consumer.beginning_offsets([place]))[place]
            high: int = _call(lambda: consumer.end_offsets([place]))[place]
            return low, high
        finally:
            consumer.close()

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int | None:
        place = TopicPartition(topic, partition)
        consumer = self._consumer()
        try:
            found = _call(lambda: consumer.offsets_for_times({place: timestamp}))[place]
        finally:
            consumer.close()
        return None if found is None else found.offset

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        if topic not in self.topics():
            raise LeftOut("it tries such a commit again until the topic exists")
        consumer = self._consumer(group)
        place = TopicPartition(topic, partition)
        try:
            consumer.assign([place])
            _call(lambda: consumer.commit({place: OffsetAndMetadata(offset, "", -1)}))
        finally:
            consumer.close()

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        consumer = self._consumer(group)
        try:
            found: int | None = _call(lambda: consumer.committed(TopicPartition(topic, partition)))
            return found
        finally:
            consumer.close()

    def groups(self) -> set[str]:
        rows = _call(lambda: self._admin.list_groups())
        return {row["group_id"] for row in rows}

    def group_state(self, group: str) -> tuple[str, int]:
        found = _call(lambda: self._admin.describe_groups([group]))[group]
        return found["group_state"], len(found["members"])

    def delete_group(self, group: str) -> None:
        outcome = _call(lambda: self._admin.delete_groups([group]))[group]
        kind = getattr(kafka.errors, str(outcome), None)
        if kind is not None and kind.errno:
            raise RefusedByServer(kind.errno, str(outcome))

    def transactional(self, transactional_id: str, timeout_ms: int = 60_000) -> Transactional:
        try:
            return KafkaPythonTransactional(self._connecting, transactional_id, timeout_ms)
        except RefusedByServer as refused:
            if refused.code == ErrorCode.UNKNOWN_SERVER_ERROR:
                raise LeftOut("its error does not have the code of the refusal") from None
            raise

    def transform(
        self, producer: Transactional, source: str, target: str, group: str, count: int, *, commit: bool
    ) -> list[Got]:
        assert isinstance(producer, KafkaPythonTransactional)
        consumer = self._consumer(group, {"read_committed": True})
        consumer.subscribe([source])
        try:
            got = self._poll(consumer, count)
            producer.pass_on(got, target, lambda: producer.send_offsets(consumer), commit=commit)
        finally:
            consumer.close()
        return got
