"""A producer that never stops, and keeps score of what it was promised."""

import itertools
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, Producer

from tests.cauce.cluster import WAIT_SECONDS, eventually


class SteadyProducer:
    """Produces numbered records all the time, and keeps every one that was acknowledged with acks=all.

    librdkafka calls a batch whose own answer was a time-out delivered as soon as a later one of its partition is
    (rd_kafka_dr_implicit_ack), and cannot say at which offset: such records are kept apart. No two producers of a
    process send the same value.
    """

    _numbers = itertools.count()

    def __init__(self, bootstrap: str, topic: str, pause_seconds: float = 0.002, **options: Any) -> None:
        """`options`: of librdkafka, with __ for dots."""
        self.acknowledged: dict[tuple[int, int], bytes] = {}  # (partition, offset) → value
        self.unplaced: dict[bytes, int] = {}  # value → partition, of what was acknowledged without an offset
        self.refused: list[KafkaError] = []
        self._number = next(self._numbers)
        self._topic = topic
        self._pause_seconds = pause_seconds
        given = {name.replace("__", "."): value for name, value in options.items()}
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0, **given}
        )
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def await_more(self, count: int = 500) -> None:
        """Wait until so many further records were acknowledged."""
        goal = len(self.acknowledged) + count
        eventually(f"{count} more records are acknowledged", lambda: len(self.acknowledged) >= goal)

    def await_each(self, partitions: Iterable[int]) -> None:
        """Wait until a further record was acknowledged in each of these partitions."""
        before, wanted = set(self.acknowledged), set(partitions)

        def go_on() -> bool:
            return wanted <= {partition for partition, _ in self.acknowledged.copy().keys() - before}

        eventually(f"something is acknowledged in {len(wanted)} partitions", go_on)

    def promised(self, found: Mapping[tuple[int, int], bytes]) -> dict[tuple[int, int], bytes]:
        """All that was acknowledged, by (partition, offset); where no offset was told, the one that `found`, which was
        read, has. Raises `AssertionError` unless each of those is in its partition, once."""
        located = {
            value: [place for place, stood in found.items() if (place[0], stood) == (partition, value)]
            for value, partition in self.unplaced.items()
        }
        wrong = {value: where for value, where in located.items() if len(where) != 1}
        assert not wrong, f"{self._topic}: acknowledged without an offset, and not there once: {wrong}"
        return {**{place: value for value, [place] in located.items()}, **self.acknowledged}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self._end.set()
            self._producer.purge()  # nobody asks any more what became of it
        else:
            self.stop()

    def stop(self) -> None:
        """Produce no more, and wait for what is under way."""
        self._end.set()
        self._thread.join()
        assert self._producer.flush(WAIT_SECONDS) == 0

    def _run(self) -> None:
        number = 0
        while not self._end.wait(self._pause_seconds):
            value = b"%d.%08d" % (self._number, number)
            self._producer.produce(self._topic, value, key=value, on_delivery=self._delivered)
            self._producer.poll(0)
            number += 1

    def _delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self.refused.append(error)
        elif message.offset() is None:
            self.unplaced[message.value()] = message.partition()
        else:
            self.acknowledged[message.partition(), message.offset()] = message.value()
