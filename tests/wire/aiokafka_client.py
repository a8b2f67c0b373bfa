"""aiokafka under the cases: its coroutines run on one event loop in a thread."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, ProducerFenced, UnknownError, for_code
from aiokafka.structs import OffsetAndMetadata

from infra.error_code import ErrorCode
from tests.wire.client import WAIT_SECONDS, Client, Got, LeftOut, Member, RefusedByServer, Security, Sent, Transactional
from tests.wire.keyword_options import connecting, got_of

T = TypeVar("T")


class Loop:
    """An event loop in a thread; calls wait for their coroutine."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result; Kafka errors become `RefusedByServer`."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_SECONDS + 15)
        except ProducerFenced as error:
            raise RefusedByServer(ErrorCode.PRODUCER_FENCED, str(error)) from None
        except KafkaError as error:
            raise RefusedByServer(getattr(error, "errno", -1), str(error)) from None


def _check(response: Any, rows: Callable[[Any], Any]) -> None:
    """aiokafka's admin hands over responses as they are: raise the first error in them."""
    for code in rows(response):
        if code:
            raise RefusedByServer(code, for_code(code).__name__)


class AiokafkaMember(Member):
    """A subscribed consumer polled by a task."""

    def __init__(self, loop: Loop, topic: str, options: Mapping[str, Any]) -> None:
        self._loop = loop
        self._records: list[Got] = []
        self._consumer: Any = loop.run(self._start(topic, options))
        self._task: Any = loop.run(self._spawn())

    @staticmethod
    async def _start(topic: str, options: Mapping[str, Any]) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(topic, auto_offset_reset="earliest", heartbeat_interval_ms=300, **options)
        await consumer.start()
        return consumer

    async def _spawn(self) -> asyncio.Task[None]:
        return asyncio.ensure_future(self._poll())

    async def _poll(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                self._records.extend(got_of(record) for record in records)

    def assignment(self) -> set[int]:
        return {place.partition for place in self._consumer.assignment()}

    def records(self) -> list[Got]:
        return list(self._records)

    def close(self) -> None:
        self._loop.run(self._stop())

    async def _stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()


class AiokafkaTransactional(Transactional):
    """A transactional producer of aiokafka."""

    def __init__(self, loop: Loop, connecting: Mapping[str, Any], transactional_id: str, timeout_ms: int) -> None:
        async def start() -> AIOKafkaProducer:
            producer = AIOKafkaProducer(
                **connecting, transactional_id=transactional_id, transaction_timeout_ms=timeout_ms
            )
            await producer.start()
            return producer

        self._loop = loop
        self._producer: Any = loop.run(start())

    def begin(self) -> None:
        self._loop.run(self._producer.begin_transaction())

    def send(self, topic: str, records: Sequence[Sent]) -> None:
        async def run() -> None:
            sent = [
                await self._producer.send(topic, record.value, record.key, partition=record.partition)
                for record in records
            ]
            await asyncio.wait_for(asyncio.gather(*sent), WAIT_SECONDS)

        self._loop.run(run())

    def send_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Where a group has read to. The library sends no generation with it."""
        self._loop.run(self._producer.send_offsets_to_transaction(offsets, group))

    def commit(self) -> None:
        self._loop.run(self._producer.commit_transaction())

    def abort(self) -> None:
        self._loop.run(self._producer.abort_transaction())

    def close(self) -> None:
        with contextlib.suppress(RefusedByServer):  # one that was fenced says so again
            self._loop.run(self._producer.stop())


class AiokafkaClient(Client):
    """The asyncio client."""

    name: ClassVar[str] = "aiokafka"

    def __init__(self, bootstrap: str, security: Security | None = None, node_count: int = 1) -> None:
        super().__init__(bootstrap, security, node_count)
        self._connecting = connecting(
            bootstrap, security, lambda authority: {"ssl_context": ssl.create_default_context(cafile=str(authority))}
        )
        self._loop = Loop()

    def _administer(self, action: Callable[[AIOKafkaAdminClient], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            admin = AIOKafkaAdminClient(**self._connecting)
            await admin.start()
            try:
                return await action(admin)
            finally:
                await admin.close()

        return self._loop.run(run())

    def _consume(
        self, action: Callable[[AIOKafkaConsumer], Coroutine[Any, Any, T]], group: str | None = None, **options: Any
    ) -> T:
        async def run() -> T:
            consumer = AIOKafkaConsumer(**self._connecting, group_id=group, enable_auto_commit=False, **options)
            await consumer.start()
            try:
                return await action(consumer)
            finally:
                await consumer.stop()

        return self._loop.run(run())

    def create_topic(self, topic: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> None:
        new = NewTopic(topic, partitions, 1, topic_configs=dict(configs or {}))
        response = self._administer(lambda admin: admin.create_topics([new]))
        _check(response, lambda found: [row[1] for row in found.topic_errors])

    def delete_topic(self, topic: str) -> None:
        response = self._administer(lambda admin: admin.delete_topics([topic]))
        _check(response, lambda found: [row[1] for row in found.topic_error_codes])

    def topics(self) -> dict[str, int]:
        rows = self._administer(lambda admin: admin.describe_topics())
        return {row["topic"]: len(row["partitions"]) for row in rows}

    def add_partitions(self, topic: str, count: int) -> None:
        response = self._administer(lambda admin: admin.create_partitions({topic: NewPartitions(count)}))
        _check(response, lambda found: [row[1] for row in found.topic_errors])

    def topic_config(self, topic: str) -> dict[str, str | None]:
        return self._config(ConfigResourceType.TOPIC, topic)

    def _config(self, kind: ConfigResourceType, name: str) -> dict[str, str | None]:
        response = self._administer(lambda admin: admin.describe_configs([ConfigResource(kind, name)]))[0]
        row = response.resources[0]
        _check(row, lambda found: [found[0]])
        return {entry[0]: entry[1] for entry in row[4]}

    def set_topic_config(self, topic: str, configs: Mapping[str, str]) -> None:
        # AlterConfigs replaces everything: read, change, write, as this library's users must.
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        response = self._administer(lambda admin: admin.describe_configs([resource]))[0]
        own = {entry[0]: entry[1] for entry in response.resources[0][4] if entry[3] == 1}
        changed = ConfigResource(ConfigResourceType.TOPIC, topic, {**own, **configs})
        answer = self._administer(lambda admin: admin.alter_configs([changed]))
        _check(answer[0] if isinstance(answer, list) else answer, lambda found: [row[0] for row in found.resources])

    def broker_config(self) -> dict[str, str | None]:
        node = self._administer(lambda admin: admin.describe_cluster())["brokers"][0]["node_id"]
        return self._config(ConfigResourceType.BROKER, str(node))

    def nodes(self) -> int:
        return len(self._administer(lambda admin: admin.describe_cluster())["brokers"])

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        wanted = {TopicPartition(topic, partition): RecordsToDelete(before_offset=before)}
        self._administer(lambda admin: admin.delete_records(wanted))

    def produce(
        self, topic: str, records: Sequence[Sent], *, codec: str = "none", acks: int = -1, idempotent: bool = False
    ) -> list[int]:
        async def run() -> list[int]:
            producer = AIOKafkaProducer(
                **self._connecting,
                compression_type=None if codec == "none" else codec,
                acks="all" if acks == -1 else acks,
                enable_idempotence=idempotent,
                linger_ms=20,
                max_request_size=10_000_000,
            )
            await producer.start()
            try:
                futures = [
                    await producer.send(
                        topic,
                        record.value,
                        record.key,
                        partition=record.partition,
                        timestamp_ms=record.timestamp,
                        headers=list(record.headers),
                    )
                    for record in records
                ]
                answers = await asyncio.wait_for(asyncio.gather(*futures), WAIT_SECONDS)
            finally:
                await producer.stop()
            return [-1 if acks == 0 else answer.offset for answer in answers]

        try:
            return self._loop.run(run())
        except RefusedByServer as refused:
            if refused.code == UnknownError.errno:
                raise LeftOut("it does not know the error code of the refusal") from None
            raise

    def read(
        self,
        topic: str,
        count: int,
        *,
        starts: Mapping[int, int] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> list[Got]:
        given = options or {}
        partitions = starts or dict.fromkeys(range(self.topics()[topic]), None)

        async def run(consumer: AIOKafkaConsumer) -> list[Got]:
            consumer.assign([TopicPartition(topic, partition) for partition in partitions])
            for partition, offset in partitions.items():
                if offset is not None:
                    consumer.seek(TopicPartition(topic, partition), offset)
            if starts is None:
                await consumer.seek_to_beginning()
            return await self._take(consumer, count)

        return self._consume(
            run,
            auto_offset_reset=given.get("reset", "earliest"),
            isolation_level="read_committed" if given.get("read_committed") else "read_uncommitted",
            max_partition_fetch_bytes=given.get("max_partition_bytes", 1_048_576),
        )

    @staticmethod
    async def _take(consumer: AIOKafkaConsumer, count: int) -> list[Got]:
        got: list[Got] = []
        async with asyncio.timeout(WAIT_SECONDS):
            while len(got) < count:
                batches = await consumer.getmany(timeout_ms=200, max_records=count - len(got))
                for records in batches.values():
                    got.extend(got_of(record) for record in records)
        return got

    def read_group(self, topic: str, group: str, count: int) -> list[Got]:
        async def run(consumer: AIOKafkaConsumer) -> list[Got]:
            consumer.subscribe([topic])
            got = await self._take(consumer, count)
            await consumer.commit()
            return got

        return self._consume(run, group, auto_offset_reset="earliest")

    def member(
        self,
        topic: str,
        group: str,
        *,
        instance_id: str | None = None,
        cooperative: bool = False,
        timeout_ms: int = 10_000,
    ) -> Member:
        if cooperative:
            raise LeftOut("no cooperative assignor")
        options: dict[str, Any] = {
            **self._connecting,
            "group_id": group,
            "session_timeout_ms": timeout_ms,
        }
        if instance_id:
            options["group_instance_id"] = instance_id
        return AiokafkaMember(self._loop, topic, options)

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        place = TopicPartition(topic, partition)

        async def run(consumer: AIOKafkaConsumer) -> tuple[int, int]:
            low = (await consumer.beginning_offsets([place]))[place]
            return low, (await consumer.end_offsets([place]))[place]

        return self._consume(run)

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int | None:
        place = TopicPartition(topic, partition)
        found = self._consume(lambda consumer: consumer.offsets_for_times({place: timestamp}))[place]
        return None if found is None else found.offset

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        if topic not in self.topics():
            raise LeftOut("its consumer creates the topic by asking for it, and then commits")
        place = TopicPartition(topic, partition)

        async def run(consumer: AIOKafkaConsumer) -> None:
            consumer.assign([place])
            await consumer.commit({place: OffsetAndMetadata(offset, "")})

        self._consume(run, group)

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        place = TopicPartition(topic, partition)

        async def run(consumer: AIOKafkaConsumer) -> int | None:
            consumer.assign([place])
            found: int | None = await consumer.committed(place)
            return found

        return self._consume(run, group)

    def groups(self) -> set[str]:
        return {row[0] for row in self._administer(lambda admin: admin.list_consumer_groups())}

    def group_state(self, group: str) -> tuple[str, int]:
        response = self._administer(lambda admin: admin.describe_consumer_groups([group]))[0]
        code, _, state, _, _, members = response.groups[0][:6]
        if code:
            raise RefusedByServer(code, ErrorCode(code).name)
        return state, len(members)

    def delete_group(self, group: str) -> None:
        raise LeftOut("the admin client has no DeleteGroups")

    def transactional(self, transactional_id: str, timeout_ms: int = 60_000) -> Transactional:
        return AiokafkaTransactional(self._loop, self._connecting, transactional_id, timeout_ms)

    def transform(
        self, producer: Transactional, source: str, target: str, group: str, count: int, *, commit: bool
    ) -> list[Got]:
        assert isinstance(producer, AiokafkaTransactional)

        async def run(consumer: AIOKafkaConsumer) -> list[Got]:
            consumer.subscribe([source])
            return await self._take(consumer, count)

        got = self._consume(run, group, auto_offset_reset="earliest", isolation_level="read_committed")
        offsets = {TopicPartition(source, one.partition): one.offset + 1 for one in got}
        producer.pass_on(got, target, lambda: producer.send_offsets(group, offsets), commit=commit)
        return got
