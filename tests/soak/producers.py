"""Idempotent producers, one a codec, that note what was acknowledged where."""

import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from confluent_kafka import Producer

from infra.clock import SYSTEM_CLOCK
from tests.soak.follower import Models
from tests.soak.model import Headers, PartitionModel, digest
from tests.soak.score import Score
from tests.soak.topics import SoakTopic

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_TIMEOUT_SECONDS = 180.0
_KEYS = 400
_JITTER_MS = 3000


class SoakProducer(threading.Thread):
    """Sends records of every shape to every topic, about `rate` a second."""

    def __init__(
        self, bootstrap: str, codec: str, topics: Sequence[SoakTopic], models: Models, rate: float, score: Score
    ):
        super().__init__(name=f"producer-{codec}", daemon=True)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "log_level": 0,
                "enable.idempotence": True,
                "compression.codec": codec,
                "linger.ms": 20,
                "message.timeout.ms": int(_TIMEOUT_SECONDS * 1000),
                "reconnect.backoff.max.ms": 200,
                "retry.backoff.ms": 50,
                "queue.buffering.max.messages": 20_000,
            }
        )
        self._topics = topics
        self._models = models
        self._rate = rate
        self._score = score
        self._random = random.Random(f"{score.seed} {codec}")
        self._codec = codec
        self._number = 0

    def run(self) -> None:
        """Until the soak stops; then wait for every acknowledgement."""
        try:
            while not self._score.stopping.is_set():
                for _ in range(self._random.randrange(1, 2 + int(self._rate / 5))):
                    self._send(self._random.choice(self._topics))
                self._producer.poll(0)
                self._score.stopping.wait(0.1)
                self._producer.poll(0)
            left = self._producer.flush(_TIMEOUT_SECONDS)
            if left:
                self._score.fail(self.name, f"{left} records without an answer")
        except Exception as error:  # noqa: BLE001 (whatever ends this thread is a failure of the soak)
            self._score.fail(self.name, f"ended by {error!r}")

    def _send(self, topic: SoakTopic) -> None:
        chance = self._random
        self._number += 1
        partition = chance.randrange(topic.partitions)
        key = self._key(topic)
        value = self._value(topic, key)
        stamp = SYSTEM_CLOCK.now_ms() - (0 if chance.random() < 0.5 else chance.randrange(_JITTER_MS))
        headers = self._headers()
        model = self._models[topic.name][partition]
        answer = partial(self._answered, topic, model, key, value, headers, stamp)
        try:
            self._producer.produce(
                topic.name, value, key, partition=partition, timestamp=stamp, headers=headers, on_delivery=answer
            )
            self._score.add("sent")
        except BufferError:
            self._producer.poll(0.05)

    def _key(self, topic: SoakTopic) -> bytes | None:
        chance = self._random
        if not topic.compacted:
            return chance.choice([None, b"", b"k%d" % chance.randrange(1 << 30), chance.randbytes(20)])
        if chance.random() < 0.05:
            return b"once-%d" % chance.randrange(1 << 40)  # a key that hardly comes again
        return b"key-%d" % int(chance.paretovariate(0.6) % _KEYS)

    def _value(self, topic: SoakTopic, key: bytes | None) -> bytes | None:
        chance = self._random
        kind = chance.random()
        if kind < (0.15 if topic.compacted else 0.03):
            return None
        if kind < 0.2:
            return b""
        head = b'{"from": "%s", "number": %d, "key": "%s", "text": "' % (
            self._codec.encode(),
            self._number,
            (key or b"").hex().encode(),
        )
        if kind < 0.25:
            return head + chance.randbytes(chance.randrange(3000))
        if kind < 0.26:
            return head + chance.randbytes(60_000)
        return head + b"flight " * chance.choice((0, 3, 30, 150)) + b'"}'

    def _headers(self) -> list[tuple[str, bytes | None]]:
        chance = self._random
        if chance.random() < 0.6:
            return []
        names = ("trace", "source", "", "trace")
        return [(name, chance.choice([None, b"", b"%d" % self._number])) for name in names[: chance.randrange(1, 5)]]

    def _answered(
        self,
        topic: SoakTopic,
        model: PartitionModel,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        stamp: int,
        error: Any,
        message: Any,
    ) -> None:
        place = f"{topic.name}-{model.partition}"
        if error is not None:
            self._score.fail(place, f"a producer was told of a failure: {error}")
            return
        if topic.appended_time:
            stamp = message.timestamp()[1]
        wrong = model.acknowledge(message.offset(), key, value is None, stamp, digest(key, value, headers, stamp))
        self._score.add("acknowledged")
        if wrong is not None:
            self._score.fail(place, wrong)


def wait_for(threads: Sequence[threading.Thread], seconds: float) -> list[str]:
    """Join them; the names of those that do not end."""
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in threads if thread.is_alive()]
