"""A steady load over many partitions that remembers when each record was sent and acknowledged, and what must be there.

A value begins with the record's number, which is unique. Producers are idempotent, many in one process, because
librdkafka sends one partition in a request and has five of them under way.
"""

import struct
import threading
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaError, Producer

from bench.read_back import read_heads

_NUMBER = struct.Struct("<q")
_PADDING = b"x" * 92
_FLUSH_SECONDS = 300.0
_IDLE_SECONDS = 180.0

Int64s = npt.NDArray[np.int64]


class SteadyLoad:
    """Record n goes to partition n modulo their number. Times are seconds of the monotonic clock."""

    def __init__(self, topic: str, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions
        self.offsets = array("q")  # by record; -1 without an acknowledgement
        self.sent = array("d")
        self.acknowledged = array("d")
        self.failed: list[str] = []
        self._producers: list[Producer] = []
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, bootstrap: str, producers: int, records_per_second: float) -> None:
        """Send at a steady rate from now on, in a thread, by producers of its own."""
        self._producers = [self._producer(bootstrap) for _ in range(producers)]
        self._end.clear()
        self._thread = threading.Thread(target=self._run, args=(records_per_second,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait until all that was sent has its answer."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        left = sum(producer.flush(_FLUSH_SECONDS) for producer in self._producers)
        self._producers = []
        if left:
            self.failed.append(f"{left} records without an answer")

    def first_sent_after(self, moment: float) -> dict[int, float]:
        """When, of each partition, a record that was sent after a moment was first acknowledged."""
        answered = np.array(self.acknowledged[:])  # copies: an array that numpy looks into cannot grow
        sent = np.array(self.sent[: len(answered)])
        found: dict[int, float] = {}
        for number in np.flatnonzero((sent > moment) & (answered > 0)).tolist():
            partition = number % self._partitions
            found[partition] = min(float(answered[number]), found.get(partition, float("inf")))
        return found

    def problems(self, found: Sequence[Int64s]) -> Iterator[str]:
        """What is lost, doubled or not where it was acknowledged; `found`: numbers by partition and offset."""
        everything = np.concatenate(found)
        times = np.bincount(everything, minlength=len(self.offsets))
        if (times > 1).any():
            yield f"{int((times > 1).sum())} records stand there more than once"
        offsets = np.array(self.offsets)
        lost = np.flatnonzero((offsets >= 0) & (times[: len(offsets)] == 0))
        if len(lost):
            yield f"{len(lost)} acknowledged records are lost, the first is {lost[0]}"
        elsewhere = 0
        for partition, numbers in enumerate(found):
            mine = np.arange(partition, len(offsets), self._partitions)
            mine = mine[(offsets[mine] >= 0) & (offsets[mine] < len(numbers))]
            elsewhere += int((numbers[offsets[mine]] != mine).sum())
        if elsewhere:
            yield f"{elsewhere} records are not at the offset that was acknowledged"

    def _producer(self, bootstrap: str) -> Producer:
        return Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": 0,
                "linger.ms": 5,
                "log_level": 0,
                "error_cb": self._on_error,
            }
        )

    def _run(self, records_per_second: float) -> None:
        began, before = time.monotonic(), len(self.offsets)
        while not self._end.is_set():
            due = before + int((time.monotonic() - began) * records_per_second)
            while len(self.offsets) < due:
                self._send()
            for producer in self._producers:
                producer.poll(0)
            self._end.wait(0.005)

    def _send(self) -> None:
        number = len(self.offsets)
        partition = number % self._partitions
        self.offsets.append(-1)
        self.sent.append(time.monotonic())
        self.acknowledged.append(0.0)
        self._producers[partition % len(self._producers)].produce(
            self._topic,
            _NUMBER.pack(number) + _PADDING,
            partition=partition,
            on_delivery=lambda error, message: self._delivered(error, message, number),
        )

    def _delivered(self, error: KafkaError | None, message: Any, number: int) -> None:
        if error is None:
            self.offsets[number] = message.offset()
            self.acknowledged[number] = time.monotonic()
        else:
            self.failed.append(f"record {number}: {error}")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self.failed.append(f"fatal: {error}")


def read_numbers(bootstrap: str, topic: str, partitions: int) -> list[Int64s]:
    """The numbers of all records, by partition and offset. Raises `SystemExit` at a gap or an early end."""
    heads = read_heads(bootstrap, topic, partitions, _NUMBER.size, _IDLE_SECONDS)
    return [np.frombuffer(head, np.int64) for head in heads]
