"""A real client beside the hostile inputs: what it produces it must read back, whole, in order and without an error."""

import threading
import time
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "honest"  # a name that no generated request carries
_PAUSE_SECONDS = 0.01  # between two records: a light load, the inputs are what counts
_PATIENCE_SECONDS = 30.0


class HonestClient:
    """Produces numbered records and consumes them, each in a thread of its own, until it is stopped."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._stop = threading.Event()
        self._drained = threading.Event()
        self._threads = [threading.Thread(target=self._produce), threading.Thread(target=self._consume)]
        self.produced = 0  # acknowledged
        self.consumed = 0
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(_PATIENCE_SECONDS)
        for thread in self._threads:
            thread.start()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self.consumed and time.monotonic() < deadline:
            self._stop.wait(0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop producing and wait until everything acknowledged was read, or patience ends."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.consumed != self.produced:
            self.errors.append(f"{self.produced} records acknowledged, {self.consumed} read")

    def _produce(self) -> None:
        producer = Producer({**self._common(), "linger.ms": 5, "enable.idempotence": True})
        number = 0
        while not self._stop.wait(_PAUSE_SECONDS):
            producer.produce(TOPIC, value=str(number).encode(), on_delivery=self._delivered)
            producer.poll(0)
            number += 1
        if producer.flush(_PATIENCE_SECONDS):
            self.errors.append("records were never acknowledged")
        self._drained.set()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.produced += 1
        else:
            self.errors.append(f"produce: {error}")

    def _consume(self) -> None:
        consumer = Consumer(
            {**self._common(), "group.id": "honest", "auto.offset.reset": "earliest", "auto.commit.interval.ms": 500}
        )
        consumer.subscribe([TOPIC])
        deadline: float | None = None
        while deadline is None or (self.consumed < self.produced and time.monotonic() < deadline):
            message = consumer.poll(0.1)
            if message is not None:
                self._read(message)
            if deadline is None and self._drained.is_set():
                deadline = time.monotonic() + _PATIENCE_SECONDS
        consumer.close()

    def _read(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            self.errors.append(f"consume: {error}")
        elif message.value() != str(self.consumed).encode():
            self.errors.append(f"consume: {message.value()!r} where {self.consumed} was due")
        else:
            self.consumed += 1

    def _common(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._bootstrap,
            "topic.metadata.refresh.interval.ms": 2000,
            "error_cb": lambda error: self.errors.append(f"client: {error}"),
        }
