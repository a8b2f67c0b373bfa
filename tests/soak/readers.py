"""Readers at every age: from the beginning, from anywhere, from a time, and at the tail; with confluent-kafka."""

import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tests.soak.follower import Follower, Models, Place
from tests.soak.model import Seen, digest
from tests.soak.score import Score
from tests.soak.topics import SoakTopic

KINDS = ("beginning", "anywhere", "time", "tail")
QUIET_SECONDS = 40.0  # a reader that hears nothing for so long hangs
_PASS_SECONDS = 20.0
_ANSWER_SECONDS = 20.0


class SoakReader(threading.Thread):
    """Passes of one kind over random topics until the soak stops."""

    def __init__(self, bootstrap: str, kind: str, topics: Sequence[SoakTopic], models: Models, score: Score) -> None:
        super().__init__(name=f"reader-{kind}", daemon=True)
        self.kind = kind
        self._brokers = bootstrap
        self._topics = topics
        self._score = score
        self._follower = Follower(kind, models, score)
        self._random = random.Random(f"{score.seed} {kind}")
        self._consumer = self._connect()
        self._heard = time.monotonic()
        self._refused: dict[Place, tuple[int, str]] = {}  # the offset, and why

    def run(self) -> None:
        """Pass after pass."""
        try:
            while not self._score.stopping.is_set():
                self._once()
                self._score.stopping.wait(0.2)
        except Exception as error:  # noqa: BLE001 (whatever ends this thread is a failure of the soak)
            self._score.fail(self.name, f"ended by {error!r}")
        finally:
            self._consumer.close()

    def _once(self) -> None:
        try:
            self._pass(self._random.sample(self._topics, 2))
        except KafkaException as error:  # a request of its own, which a node that was killed left unanswered
            if not self._score.disturbed and not self._score.stopping.is_set():
                self._score.fail(self.name, f"a request failed: {error}")

    def read_everything(self, topics: Sequence[SoakTopic], seconds: float) -> dict[Place, dict[bytes, int]]:
        """One pass over whole topics to the end; the offset last read of each key."""
        places = [(topic.name, number) for topic in topics for number in range(topic.partitions)]
        starts = {place: self.watermarks(place)[0] for place in places}
        self._follower.begin(starts, at_beginning=True)
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        self._read(set(places), time.monotonic() + seconds, to_the_end=True)
        return self._follower.last_of_each

    def close(self) -> None:
        """Of a reader that was not started."""
        self._consumer.close()

    def watermarks(self, place: Place) -> tuple[int, int]:
        """Log start offset and high watermark, as the leader has them now."""
        before = self._follower.model(place).low
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_ANSWER_SECONDS)
        self._follower.raised(place, low, before)
        return low, high

    def _connect(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._brokers,
                "log_level": 0,
                "group.id": f"soak-{self.kind}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "check.crcs": True,
                "fetch.wait.max.ms": 100,
                "reconnect.backoff.max.ms": 200,
                "queued.max.messages.kbytes": 4096,
            }
        )

    def _pass(self, topics: Sequence[SoakTopic]) -> None:
        places = [(topic.name, number) for topic in topics for number in range(topic.partitions)]
        starts = {place: self._start(place) for place in places}
        self._follower.begin(starts, at_beginning=self.kind == "beginning")
        self._heard = time.monotonic()
        self._refused.clear()
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        self._score.add(f"passes {self.kind}")
        self._read(set(places), time.monotonic() + _PASS_SECONDS)
        self._consumer.unassign()

    def _start(self, place: Place) -> int:
        low, high = self.watermarks(place)
        if self.kind == "tail":
            return high
        if self.kind == "beginning":
            return low
        if self.kind == "time":
            return self._by_time(place, high)
        return self._random.randint(low, high)

    def _by_time(self, place: Place, high: int) -> int:
        """The offset of a random time."""
        model = self._follower.model(place)
        stamp = model.some_stamp(self._random.random())
        low_before = model.low
        [found] = self._consumer.offsets_for_times([TopicPartition(*place, stamp)], timeout=_ANSWER_SECONDS)
        offset = int(found.offset)
        if offset < 0:
            return high
        self._score.add("seeks by time")
        known = model.stamp(offset)
        if 0 <= known < stamp:
            self._score.fail(f"{place[0]}-{place[1]}", f"asked for {stamp} ms: offset {offset}, of {known} ms")
        if model.topic.kept_whole and offset < model.end and (first := model.offset_at(stamp)) is not None:
            if first < offset:
                self._score.fail(f"{place[0]}-{place[1]}", f"asked for {stamp} ms: offset {offset}, not {first}")
        elif offset < low_before:
            self._score.fail(f"{place[0]}-{place[1]}", f"offset {offset} by time, the log begins at {low_before}")
        return offset

    def _read(self, places: set[Place], deadline: float, *, to_the_end: bool = False) -> None:
        """Until every partition has ended, or the time of this pass is over."""
        ended: set[Place] = set()
        while time.monotonic() < deadline and (to_the_end or not self._score.stopping.is_set()):
            messages = self._consumer.consume(1000, 0.2)
            if messages:
                self._heard = time.monotonic()
            rows: dict[Place, list[Seen]] = {}
            for message in messages:
                place = (message.topic(), message.partition())
                if message.error() is None:
                    rows.setdefault(place, []).append(_seen(message))
                    continue
                self._follow(rows)
                rows = {}
                if message.error().code() == KafkaError._PARTITION_EOF:
                    self._follower.skip(place, message.offset())
                    ended.add(place)
                else:
                    self._told(place, message)
            self._follow(rows)
            self._go_back()
            if ended == places and self.kind != "tail":
                return
            self._check_quiet()
        if to_the_end:
            self._score.fail(self.name, f"the end of {sorted(places - ended)} was not reached")

    def _follow(self, rows: dict[Place, list[Seen]]) -> None:
        for place, seen in rows.items():
            self._follower.take(place, seen)

    def _told(self, place: Place, message: Any) -> None:
        error = message.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            offset = message.offset()
            self._refused[place] = -1 if offset is None else offset, error.str()
        elif error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE):
            self._score.add("connections lost")
        elif not error.retriable():
            self._score.fail(f"{place[0]}-{place[1]}", f"{self.kind} was told {error}")

    def _go_back(self) -> None:
        """Where an offset was refused, go on at the log start at least; everywhere else, where it was."""
        if not self._refused:
            return
        for place, (offset, why) in self._refused.items():
            self._follower.out_of_range(place, offset, *self.watermarks(place), why)
        self._refused.clear()
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self._follower.positions.items()])

    def _check_quiet(self) -> None:
        if self._score.disturbed:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > QUIET_SECONDS:
            self._score.fail(self.name, f"heard nothing for {QUIET_SECONDS:.0f} s")
            self._heard = time.monotonic()


def _seen(message: Any) -> Seen:
    key, value = message.key(), message.value()
    return Seen(message.offset(), key, digest(key, value, message.headers(), message.timestamp()[1]))
