"""confluent-kafka (librdkafka) under the cases."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from infra.error_code import ErrorCode
from tests.wire.client import WAIT_SECONDS, Client, Got, Member, RefusedByServer, Security, Sent, Transactional

T = TypeVar("T")

_COORDINATOR_MOVES = (
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
)


def _connecting(bootstrap: str, security: Security | None) -> dict[str, Any]:
    """Settings of everything that connects."""
    if security is None:
        return {"bootstrap.servers": bootstrap}
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(security.authority),
        "sasl.mechanism": security.mechanism,
        "sasl.username": security.user,
        "sasl.password": security.password,
    }


def _refuse(error: KafkaError) -> RefusedByServer:
    return RefusedByServer(error.code(), error.str())


def _result(future: Any) -> Any:
    try:
        return future.result(WAIT_SECONDS)
    except KafkaException as failure:
        raise _refuse(failure.args[0]) from None


def _got(message: Any) -> Got:
    if message.error():
        raise _refuse(message.error())
    headers = tuple((name, value) for name, value in message.headers() or ())
    return Got(message.partition(), message.offset(), message.value(), message.key(), headers, message.timestamp()[1])


class ConfluentMember(Member):
    """A subscribed consumer in a thread of its own."""

    def __init__(self, connecting: Mapping[str, Any], topic: str, group: str, options: Mapping[str, object]) -> None:
        self._consumer = Consumer(
            {
                **connecting,
                "log_level": 0,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "heartbeat.interval.ms": 300,
                **options,
            }
        )
        self._records: list[Got] = []
        self._held: set[int] = set()
        self._stopping = threading.Event()
        self._consumer.subscribe([topic])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._records.extend(_got(message) for message in self._consumer.consume(500, 0.1))
            self._held = {place.partition for place in self._consumer.assignment()}

    def assignment(self) -> set[int]:
        return set(self._held)

    def records(self) -> list[Got]:
        return list(self._records)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(WAIT_SECONDS)
        self._consumer.close()


class ConfluentTransactional(Transactional):
    """A transactional producer of librdkafka."""

    def __init__(self, connecting: Mapping[str, Any], transactional_id: str, timeout_ms: int) -> None:
        options = {"transactional.id": transactional_id, "transaction.timeout.ms": timeout_ms, "linger.ms": 5}
        self._producer = Producer({**connecting, "logger": _quiet(), **options})
        _transact(self._producer.init_transactions, WAIT_SECONDS)

    def begin(self) -> None:
        _transact(self._producer.begin_transaction)

    def send(self, topic: str, records: Sequence[Sent]) -> None:
        errors: list[KafkaError] = []

        def done(error: KafkaError | None, message: Any) -> None:
            errors.extend([error] if error is not None else [])

        for record in records:
            place = {} if record.partition is None else {"partition": record.partition}
            self._producer.produce(topic, record.value, record.key, on_delivery=done, **place)
        assert self._producer.flush(WAIT_SECONDS) == 0, "no acknowledgement in time"
        if errors:
            raise _refuse(errors[0])

    def send_offsets(self, consumer: Consumer) -> None:
        """Where a group member has read to."""
        offsets = consumer.position(consumer.assignment())
        _transact(self._producer.send_offsets_to_transaction, offsets, consumer.consumer_group_metadata(), WAIT_SECONDS)

    def commit(self) -> None:
        _transact(self._producer.commit_transaction, WAIT_SECONDS)

    def abort(self) -> None:
        _transact(self._producer.abort_transaction, WAIT_SECONDS)

    def close(self) -> None:
        self._producer.purge()


def _transact(action: Callable[..., None], *arguments: Any) -> None:
    try:
        action(*arguments)
    except KafkaException as failure:
        refused = _refuse(failure.args[0])
        if refused.code in (KafkaError._FENCED, ErrorCode.INVALID_PRODUCER_EPOCH):
            refused.code = ErrorCode.PRODUCER_FENCED
        raise refused from None


def _quiet() -> logging.Logger:
    """What a producer says when it is fenced is no news."""
    logger = logging.getLogger("tests.wire.confluent")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


class ConfluentClient(Client):
    """librdkafka through confluent-kafka."""

    name: ClassVar[str] = "confluent-kafka"

    def __init__(self, bootstrap: str, security: Security | None = None, node_count: int = 1) -> None:
        super().__init__(bootstrap, security, node_count)
        self._connecting = _connecting(bootstrap, security)
        self._admin = AdminClient({**self._connecting, "log_level": 0})

    def create_topic(self, topic: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> None:
        new = NewTopic(topic, partitions, 1, config=dict(configs or {}))
        _result(self._admin.create_topics([new])[topic])

    def delete_topic(self, topic: str) -> None:
        _result(self._admin.delete_topics([topic])[topic])

    def topics(self) -> dict[str, int]:
        found = self._admin.list_topics(timeout=WAIT_SECONDS).topics
        return {name: len(topic.partitions) for name, topic in found.items()}

    def add_partitions(self, topic: str, count: int) -> None:
        _result(self._admin.create_partitions([NewPartitions(topic, count)])[topic])

    def _config(self, kind: ResourceType, name: str) -> dict[str, str | None]:
        resource = ConfigResource(kind, name)
        entries = _result(self._admin.describe_configs([resource])[resource])
        return {entry.name: entry.value for entry in entries.values()}

    def topic_config(self, topic: str) -> dict[str, str | None]:
        return self._config(ResourceType.TOPIC, topic)

    def set_topic_config(self, topic: str, configs: Mapping[str, str]) -> None:
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in configs.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        _result(self._admin.incremental_alter_configs([resource])[resource])

    def broker_config(self) -> dict[str, str | None]:
        node = min(self._admin.list_topics(timeout=WAIT_SECONDS).brokers)
        return self._config(ResourceType.BROKER, str(node))

    def nodes(self) -> int:
        return len(_result(self._admin.describe_cluster()).nodes)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        place = TopicPartition(topic, partition, before)
        for future in self._admin.delete_records([place]).values():
            _result(future)

    def produce(
        self, topic: str, records: Sequence[Sent], *, codec: str = "none", acks: int = -1, idempotent: bool = False
    ) -> list[int]:
        producer = Producer(
            {
                **self._connecting,
                "log_level": 0,
                "compression.type": codec,
                "acks": acks,
                "enable.idempotence": idempotent,
                "linger.ms": 20,
                "message.max.bytes": 10_000_000,
                "message.timeout.ms": int(WAIT_SECONDS * 1000),
            }
        )
        places: dict[int, int] = {}
        errors: list[KafkaError] = []
        for number, record in enumerate(records):

            def done(error: KafkaError | None, message: Any, number: int = number) -> None:
                if error is not None:
                    errors.append(error)
                else:
                    places[number] = message.offset()

            options: dict[str, Any] = {}
            if record.partition is not None:
                options["partition"] = record.partition
            if record.timestamp is not None:
                options["timestamp"] = record.timestamp
            producer.produce(topic, record.value, record.key, headers=list(record.headers), on_delivery=done, **options)
        assert producer.flush(WAIT_SECONDS) == 0, "no acknowledgement in time"
        if errors:
            raise _refuse(errors[0])
        return [-1 if acks == 0 else places[number] for number in range(len(records))]

    def read(
        self,
        topic: str,
        count: int,
        *,
        starts: Mapping[int, int] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> list[Got]:
        given = options or {}
        consumer = self._consumer("reader", given)
        partitions = starts or dict.fromkeys(range(self.topics()[topic]), OFFSET_BEGINNING)
        consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in partitions.items()])
        return self._take(consumer, count)

    def _consumer(self, group: str, options: Mapping[str, object]) -> Consumer:
        return Consumer(
            {
                **self._connecting,
                "log_level": 0,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": options.get("reset", "earliest"),
                "isolation.level": "read_committed" if options.get("read_committed") else "read_uncommitted",
                "fetch.message.max.bytes": options.get("max_partition_bytes", 1_048_576),
                "check.crcs": True,
            }
        )

    @staticmethod
    def _consume(consumer: Consumer, count: int) -> list[Got]:
        got: list[Got] = []
        deadline = time.monotonic() + WAIT_SECONDS
        while len(got) < count:
            assert time.monotonic() < deadline, f"{len(got)} of {count} records in time"
            got.extend(_got(message) for message in consumer.consume(count - len(got), 0.2))
        return got

    def _take(self, consumer: Consumer, count: int, commit: bool = False) -> list[Got]:
        got = self._consume(consumer, count)
        if commit:
            consumer.commit(asynchronous=False)
        consumer.close()
        return got

    def read_group(self, topic: str, group: str, count: int) -> list[Got]:
        consumer = self._consumer(group, {})
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
        options: dict[str, object] = {"session.timeout.ms": timeout_ms}
        if instance_id:
            options["group.instance.id"] = instance_id
        if cooperative:
            options["partition.assignment.strategy"] = "cooperative-sticky"
        return ConfluentMember(self._connecting, topic, group, options)

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        place = TopicPartition(topic, partition)
        low, high = self._from_leader(lambda consumer: consumer.get_watermark_offsets(place, WAIT_SECONDS))
        return low, high

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int | None:
        place = TopicPartition(topic, partition, timestamp)
        [found] = self._from_leader(lambda consumer: consumer.offsets_for_times([place], WAIT_SECONDS))
        return None if found.offset < 0 else found.offset

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])
        self._from_coordinator(lambda: self._admin.alter_consumer_group_offsets([request])[group])

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition)])
        [offset] = self._from_coordinator(lambda: self._admin.list_consumer_group_offsets([request])[group])
        return None if offset < 0 else offset

    def _from_leader(self, ask: Callable[[Consumer], Any]) -> Any:
        """What a partition's leader answers with, also where there is none for a moment, or where one of several nodes
        has not heard of it yet. librdkafka takes that for final while it keeps it: a new consumer has to ask."""

        def answer() -> Any:
            consumer = self._consumer("reader", {})
            try:
                return ask(consumer)
            except KafkaException as failure:
                raise _refuse(failure.args[0]) from None
            finally:
                consumer.close()

        return self._ask_again("a leader", (KafkaError._UNKNOWN_PARTITION,) if self.node_count > 1 else (), answer)

    def _from_coordinator(self, ask: Callable[[], Any]) -> list[int]:
        """Offsets that a group's coordinator answers with, also where the coordinator has just changed."""

        def offsets() -> list[int]:
            places = _result(ask()).topic_partitions
            for place in places:
                if place.error:
                    raise _refuse(place.error)
            return [place.offset for place in places]

        return self._ask_again("a coordinator", _COORDINATOR_MOVES, offsets)

    def _ask_again(self, who: str, codes: Collection[int], ask: Callable[[], T]) -> T:
        """What librdkafka leaves to its caller to ask again at these codes, and other libraries ask again by
        themselves. When it was needed, that is noted."""
        began, refusals = time.monotonic(), 0
        while True:
            try:
                found = ask()
            except RefusedByServer as refused:
                if refused.code not in codes or time.monotonic() > began + WAIT_SECONDS:
                    raise
                refusals += 1
                time.sleep(0.1)
            else:
                if refusals:
                    late_ms = 1000 * (time.monotonic() - began)
                    self.notes.append(f"{who} was not known at first, {late_ms:.0f} ms later it was")
                return found

    def groups(self) -> set[str]:
        return {group.group_id for group in _result(self._admin.list_consumer_groups()).valid}

    def group_state(self, group: str) -> tuple[str, int]:
        found = _result(self._admin.describe_consumer_groups([group])[group])
        return found.state.name.title(), len(found.members)

    def delete_group(self, group: str) -> None:
        _result(self._admin.delete_consumer_groups([group])[group])

    def transactional(self, transactional_id: str, timeout_ms: int = 60_000) -> Transactional:
        return ConfluentTransactional(self._connecting, transactional_id, timeout_ms)

    def transform(
        self, producer: Transactional, source: str, target: str, group: str, count: int, *, commit: bool
    ) -> list[Got]:
        assert isinstance(producer, ConfluentTransactional)
        consumer = self._consumer(group, {"read_committed": True})
        consumer.subscribe([source])
        try:
            got = self._consume(consumer, count)
            producer.pass_on(got, target, lambda: producer.send_offsets(consumer), commit=commit)
        finally:
            consumer.close()
        return got
