"""Readers at every age: from the beginning, from anywhere, from a time, and at the tail; with confluent-kafka."""

import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from infra.clock import SYSTEM_CLOCK
from tests.soak.model import Gap, PartitionModel, Seen, digest
from tests.soak.producers import Models
from tests.soak.score import Score
from tests.soak.topics import SoakTopic

KINDS = ("beginning", "anywhere", "time", "tail")
SETTLE_SECONDS = 30.0  # for an acknowledgement to be heard of; a node that is killed is back by then
QUIET_SECONDS = 40.0  # a reader that hears nothing for so long hangs
_PASS_SECONDS = 20.0
_ANSWER_SECONDS = 20.0

Place = tuple[str, int]


class Follower:
    """One reader's way through partitions: where it is, and what it saw on this pass."""

    def __init__(self, name: str, models: Models, score: Score) -> None:
        self._name = name
        self._models = models
        self._score = score
        self._positions: dict[Place, int] = {}
        self._older: dict[Place, dict[bytes, int]] = {}
        self._began = 0.0

    def begin(self, positions: dict[Place, int], *, at_beginning: bool = False) -> None:
        """A new pass."""
        self._positions = dict(positions)
        self._older = {place: {} for place in positions} if at_beginning else {}
        self._began = time.monotonic()

    def model(self, place: Place) -> PartitionModel:
        """Of a partition."""
        return self._models[place[0]][place[1]]

    def position(self, place: Place) -> int:
        """The next offset that it expects."""
        return self._positions[place]

    def take(self, place: Place, rows: Sequence[Seen]) -> None:
        """Records of one partition in the order they came."""
        model, older = self.model(place), self._older.get(place)
        for row in rows:
            expected = self._positions[place]
            if row.offset < expected:
                self._wrong(place, f"{self._name} expected offset {expected} and got {row.offset} again")
            elif row.offset > expected:
                self.skip(place, row.offset)
            self._positions[place] = row.offset + 1
            if older is not None and row.key is not None:
                older[row.key] = row.offset
        for sentence in model.check(rows):
            self._wrong(place, f"{self._name}: {sentence}")
        self._score.add(f"read {self._name}", len(rows))

    def skip(self, place: Place, end: int) -> None:
        """Nothing stands from its position up to `end`."""
        start = self._positions[place]
        if start >= end:
            return
        model = self.model(place)
        now = time.monotonic()
        in_time = now - self._began < model.topic.delete_retention_ms / 1000
        older = dict(self._older.get(place, {})) if in_time else {}
        gap = Gap(self._name, start, end, older, now + SETTLE_SECONDS)
        for sentence in model.check_gap(gap, SYSTEM_CLOCK.now_ms()):
            self._wrong(place, sentence)
        self._score.add("gaps")
        self._positions[place] = end

    def raised(self, place: Place, low: int, before: int) -> None:
        """The log now begins at `low`."""
        sentence = self.model(place).check_low(low, before, SYSTEM_CLOCK.now_ms())
        if sentence is not None:
            self._wrong(place, f"{self._name}: {sentence}")

    def out_of_range(self, place: Place, low: int, high: int) -> None:
        """Its position was refused; go on at the log start."""
        position = self._positions[place]
        if low <= position <= high:
            self._wrong(place, f"{self._name}: offset {position} was out of range, the log has {low} to {high}")
        elif position > high:
            self._wrong(place, f"{self._name}: offset {position} was there, now the log ends at {high}")
        self._positions[place] = low
        self._score.add("overtaken")

    def _wrong(self, place: Place, sentence: str) -> None:
        self._score.fail(f"{place[0]}-{place[1]}", sentence)


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
        return self._follower._older

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
                    self._told(place, message.error())
            self._follow(rows)
            if ended == places and self.kind != "tail":
                return
            self._check_quiet()
        if to_the_end:
            self._score.fail(self.name, f"the end of {sorted(places - ended)} was not reached")

    def _follow(self, rows: dict[Place, list[Seen]]) -> None:
        for place, seen in rows.items():
            self._follower.take(place, seen)

    def _told(self, place: Place, error: Any) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            low, high = self.watermarks(place)
            self._follower.out_of_range(place, low, high)
            self._consumer.seek(TopicPartition(*place, low))
        elif error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE):
            self._score.add("connections lost")
        elif not error.retriable():
            self._score.fail(f"{place[0]}-{place[1]}", f"{self.kind} was told {error}")

    def _check_quiet(self) -> None:
        if self._score.disturbed:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > QUIET_SECONDS:
            self._score.fail(self.name, f"heard nothing for {QUIET_SECONDS:.0f} s")
            self._heard = time.monotonic()


def _seen(message: Any) -> Seen:
    key, value = message.key(), message.value()
    return Seen(message.offset(), key, digest(key, value, message.headers(), message.timestamp()[1]))
