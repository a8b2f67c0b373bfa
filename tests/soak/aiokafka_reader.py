"""The same with aiokafka: another client's decoder, fetch sessions and order of requests."""

import asyncio
import logging
import random
import threading
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from tests.soak.follower import Follower, Models, Place
from tests.soak.model import Seen, digest
from tests.soak.score import Score
from tests.soak.topics import SoakTopic

_POLLS = 40

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # thousands of lines while a node starts again


class AiokafkaReader(threading.Thread):
    """Reads from the beginning or from anywhere, in turns."""

    def __init__(self, bootstrap: str, topics: Sequence[SoakTopic], models: Models, score: Score) -> None:
        super().__init__(name="reader-aiokafka", daemon=True)
        self._brokers = bootstrap
        self._topics = topics
        self._score = score
        self._follower = Follower("aiokafka", models, score)
        self._random = random.Random(f"{score.seed} aiokafka")

    def run(self) -> None:
        """Until the soak stops."""
        try:
            asyncio.run(self._run())
        except Exception as error:  # noqa: BLE001 (whatever ends this thread is a failure of the soak)
            self._score.fail(self.name, f"ended by {error!r}")

    async def _run(self) -> None:
        while not self._score.stopping.is_set():
            try:
                await self._connected()
            except KafkaError as error:
                if not self._score.disturbed and not self._score.stopping.is_set():
                    self._score.fail(self.name, f"was told {error!r}")
                await asyncio.sleep(0.5)

    async def _connected(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=100,
            request_timeout_ms=20_000,
        )
        try:
            await consumer.start()
            while not self._score.stopping.is_set():
                await self._pass(consumer)
        finally:
            await consumer.stop()

    async def _pass(self, consumer: AIOKafkaConsumer) -> None:
        topic = self._random.choice(self._topics)
        places = [(topic.name, number) for number in range(topic.partitions)]
        partitions = [TopicPartition(*place) for place in places]
        consumer.assign(partitions)
        at_beginning = self._random.random() < 0.5
        starts: dict[Place, int] = {}
        for place in places:
            low, high = await self._watermarks(consumer, place)
            starts[place] = low if at_beginning else self._random.randint(low, high)
            consumer.seek(TopicPartition(*place), starts[place])
        self._follower.begin(starts, at_beginning=at_beginning)
        self._score.add("passes aiokafka")
        for _ in range(_POLLS):
            if self._score.stopping.is_set():
                return
            try:
                polled = await consumer.getmany(*partitions, timeout_ms=200, max_records=2000)
            except OffsetOutOfRangeError as error:
                for partition, offset in error.args[0].items():
                    place = (partition.topic, partition.partition)
                    low, high = await self._watermarks(consumer, place)
                    self._follower.out_of_range(place, offset, low, high, repr(error))
                    consumer.seek(partition, self._follower.positions[place])
                continue
            for partition, records in polled.items():
                self._follower.take((partition.topic, partition.partition), [_seen(one) for one in records])
            if not polled:
                return

    async def _watermarks(self, consumer: AIOKafkaConsumer, place: Place) -> tuple[int, int]:
        partition = TopicPartition(*place)
        before = self._follower.model(place).low
        low = (await consumer.beginning_offsets([partition]))[partition]
        self._follower.raised(place, low, before)
        return low, max(low, (await consumer.end_offsets([partition]))[partition])


def _seen(record: "ConsumerRecord[bytes, bytes]") -> Seen:
    return Seen(record.offset, record.key, digest(record.key, record.value, record.headers, record.timestamp))
