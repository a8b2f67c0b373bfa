"""What all clients of a chaos run know together: the history, counts, and how long after a fault things went on."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

from tests.checker.history import HistoryWriter, Operation, Partition


@dataclass
class Recovery:
    """What was first after a moment; times are seconds after it. The score fills it."""

    since: float
    acknowledged: dict[Partition, float] = field(default_factory=dict)
    polled: dict[Partition, float] = field(default_factory=dict)

    def first(self, times: dict[Partition, float]) -> str:
        """The first, and the last of all partitions that had one."""
        if not times:
            return "none"
        return f"{min(times.values()):.1f} s (all {len(times)} partitions {max(times.values()):.1f} s)"


class Score:
    """Fed by every client, from any thread."""

    def __init__(self, history: Path, seed: int) -> None:
        self.seed = seed
        self.path = history
        self.stopping = threading.Event()  # nothing more is written
        self.read = threading.Event()  # nothing more is read
        self.acknowledged: dict[str, set[int]] = {}  # topic → values
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []  # what a client saw that must not be, whatever a checker says
        self._writer = HistoryWriter(history)
        self._lock = threading.Lock()
        self._processes = itertools.count()
        self._values = itertools.count(1)
        self._sent_at: dict[int, float] = {}  # value → when
        self._unplaced: dict[int, Partition] = {}  # acknowledged without an offset, and not read since
        self._recoveries: list[Recovery] = []

    def new_process(self) -> int:
        """A number for a client that begins."""
        return next(self._processes)

    def new_value(self) -> int:
        """A value that nobody has sent; it is sent now."""
        value = next(self._values)
        self._sent_at[value] = time.monotonic()
        return value

    def watch(self) -> Recovery:
        """Tell from now on what is first; only what was sent from now on counts."""
        recovery = Recovery(time.monotonic())
        with self._lock:
            self._recoveries.append(recovery)
        return recovery

    def unwatch(self, recovery: Recovery) -> None:
        """It has seen enough."""
        with self._lock:
            self._recoveries.remove(recovery)

    def write(self, operation: Operation) -> None:
        """An operation that ended."""
        self._writer.write(operation)
        with self._lock:
            for send in operation.sends:
                self.counts["acknowledged" if send.offset is not None else "ambiguous"] += 1
                if send.offset is not None:
                    self.acknowledged.setdefault(send.partition[0], set()).add(send.value)
                    self._first(send.partition, send.value, acknowledged=True)
            for poll in operation.polls:
                self._first(poll.partition, poll.value, acknowledged=False)
                if self._unplaced.get(poll.value) == poll.partition:
                    del self._unplaced[poll.value]
            self.counts["polled"] += len(operation.polls)

    def place(self, partition: Partition, value: int, offset: int | None) -> int | None:
        """The offset of a value that was acknowledged. Where the client was told none (`SteadyProducer` says when)
        a checker cannot ask for it, and it must be read from now on."""
        if offset is None:
            with self._lock:
                self._unplaced[value] = partition
                self.counts["acknowledged without an offset"] += 1
        return offset

    def check_unplaced(self, partitions: Container[Partition]) -> None:
        """After these were read from the beginning to their ends: all that was acknowledged in them was there."""
        with self._lock:
            missing = {value: place for value, place in self._unplaced.items() if place in partitions}
        for value, (topic, number) in missing.items():
            self.fail(f"{value} was acknowledged in {topic}-{number} without an offset, and is not there")

    def add(self, name: str, count: int = 1) -> None:
        """Count something."""
        with self._lock:
            self.counts[name] += count

    def fail(self, sentence: str) -> None:
        """Something that must not be."""
        with self._lock:
            self.wrong.append(sentence)
            self.counts["wrong"] += 1

    def close(self) -> None:
        """The history is whole."""
        self._writer.close()

    def _first(self, partition: Partition, value: int, *, acknowledged: bool) -> None:
        now = time.monotonic()
        sent_at = self._sent_at.get(value, 0.0)
        for recovery in self._recoveries:
            if sent_at >= recovery.since:
                times = recovery.acknowledged if acknowledged else recovery.polled
                times.setdefault(partition, now - recovery.since)


class Diary:
    """Writes the operations of one process."""

    def __init__(self, score: Score) -> None:
        self.process = score.new_process()
        self._score = score
        self._indexes = itertools.count()

    def next_index(self) -> int:
        """For an operation that begins."""
        return next(self._indexes)

    def write(self, operation: Operation) -> None:
        """It has ended."""
        self._score.write(operation)
