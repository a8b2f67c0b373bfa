"""Decides when to flush and what goes into one batch segment. Plain: no I/O, and the time comes as an argument.

A flush is due when the unflushed bytes of a durability reach its `flush_bytes`, when the oldest of them is
`flush_interval_ms` old, or when somebody is in a hurry (a lease is being given back). Where producers wait for it, at
`object`, it is due within `gather_ms` when there was none for a whole interval: no more flushes than one an interval,
and who writes now and then waits for the store alone. One that is due takes along whatever else is unflushed, up to the
greatest size of a segment; partitions at `object` first.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.ports import Durability
from ingest.partition_log import FlushPart, PartitionLog

GATHER_MS = 5  # what one client sends to several partitions, and what several markers are, comes within it


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushTrigger:
    """When the partitions of one durability want a flush."""

    flush_bytes: int
    flush_interval_ms: int
    gather_ms: int | None = None  # after an idle interval; None: what comes then waits as long as at any time


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushPolicy:
    """Defaults as the design states them."""

    object: FlushTrigger = FlushTrigger(flush_bytes=8 << 20, flush_interval_ms=250, gather_ms=GATHER_MS)
    wal: FlushTrigger = FlushTrigger(flush_bytes=64 << 20, flush_interval_ms=5_000)
    segment_bytes: int = 64 << 20  # bounds what one PUT repeats, and what a builder holds
    in_flight: int = 4  # flushes in the air: hides the store's latency
    in_flight_bytes: int = 128 << 20  # of them together: each is in memory twice more while it is sent

    def may_launch(self, in_flight: Sequence[int]) -> bool:
        """Whether another flush may join those in the air, whose bytes these are."""
        if not in_flight:
            return True
        return len(in_flight) < self.in_flight and sum(in_flight) + self.segment_bytes <= self.in_flight_bytes


@dataclass(slots=True)
class _Unflushed:
    since: float  # seconds, monotonic
    size: int  # bytes


class FlushSchedule:
    """The partitions with something to flush, those waiting longest first."""

    def __init__(self, policy: FlushPolicy) -> None:
        self._policy = policy
        self._waiting: dict[Durability, dict[PartitionLog, _Unflushed]] = {"object": {}, "wal": {}}
        self._bytes: dict[Durability, int] = {"object": 0, "wal": 0}
        self._hurried: set[PartitionLog] = set()
        self._taken_at = -math.inf  # seconds, monotonic

    def note(self, log: PartitionLog, now: float) -> bool:
        """The WAL has more of this log. True when a flush may be due earlier than it was."""
        waiting = self._waiting[log.durability]
        if not log.unflushed_bytes:
            return False
        first = not waiting
        known = waiting.setdefault(log, _Unflushed(now, 0))
        self._bytes[log.durability] += log.unflushed_bytes - known.size
        known.size = log.unflushed_bytes
        return first or log in self._hurried or self._is_full(log.durability)

    def hurry(self, log: PartitionLog) -> None:
        """Whatever this log has or gets is to be flushed at once, until it is forgotten."""
        self._hurried.add(log)

    def forget(self, log: PartitionLog) -> None:
        """The log is closed."""
        self._hurried.discard(log)
        known = self._waiting[log.durability].pop(log, None)
        if known is not None:
            self._bytes[log.durability] -= known.size

    def due_in(self, now: float) -> float | None:
        """Seconds until a flush is due, 0 when one is, None while there is nothing to flush."""
        times = [self._due_in(durability, now) for durability, waiting in self._waiting.items() if waiting]
        return min(times, default=None)

    def take(self, now: float) -> list[FlushPart]:
        """The parts of the next segment; what does not fit stays, as old as it is."""
        self._taken_at = now
        parts: list[FlushPart] = []
        left = self._policy.segment_bytes
        for log in list(self._in_order()):
            if left <= 0:
                break
            part = log.plan_flush(left)
            if part is None:
                self.forget(log)
                continue
            parts.append(part)
            left -= part.size
            self._taken(log)
        return parts

    def _in_order(self) -> Iterator[PartitionLog]:
        yield from self._waiting["object"]
        yield from self._waiting["wal"]

    def _taken(self, log: PartitionLog) -> None:
        waiting = self._waiting[log.durability]
        self._bytes[log.durability] += log.unflushed_bytes - waiting[log].size
        waiting[log].size = log.unflushed_bytes
        if not log.unflushed_bytes:
            del waiting[log]

    def _due_in(self, durability: Durability, now: float) -> float:
        waiting = self._waiting[durability]
        if self._is_full(durability) or not self._hurried.isdisjoint(waiting):
            return 0.0
        oldest = next(iter(waiting.values()))
        trigger = self._trigger(durability)
        interval = trigger.flush_interval_ms / 1000
        due = oldest.since + interval
        if trigger.gather_ms is not None:
            due = min(due, max(oldest.since + trigger.gather_ms / 1000, self._taken_at + interval))
        return max(0.0, due - now)

    def _is_full(self, durability: Durability) -> bool:
        return self._bytes[durability] >= self._trigger(durability).flush_bytes

    def _trigger(self, durability: Durability) -> FlushTrigger:
        return self._policy.wal if durability == "wal" else self._policy.object
