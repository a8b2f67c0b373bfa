"""What a partition must hold: every record that was acknowledged, and why one that is not read may be missing.

A record counts as a digest of everything that a reader sees of it. Readers ask from threads of their own, and may be
ahead of the acknowledgement that the producer has yet to hear: such claims wait, and have to be settled in the end.
"""

import hashlib
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tests.soak.topics import SoakTopic

Headers = Sequence[tuple[str, bytes | None]]
_UNKNOWN = 0
_NO_KEY = -1


class Seen(NamedTuple):
    """A record as a reader got it."""

    offset: int
    key: bytes | None
    digest: int


class Gap(NamedTuple):
    """A reader that expected `start` got `end` next, or was told that the log ends there."""

    reader: str
    start: int
    end: int
    older: Mapping[bytes, int]  # key → offset that this reader saw less than delete.retention.ms ago
    deadline: float


def digest(key: bytes | None, value: bytes | None, headers: Headers | None, timestamp: int) -> int:
    """64 bits of all that a reader sees of a record; never 0."""
    whole = hashlib.blake2b(struct.pack(">q", timestamp), digest_size=8)
    parts = [key, value]
    for name, content in headers or ():
        parts += [name.encode(), content]
    for part in parts:
        whole.update(b"\xff" * 4 if part is None else struct.pack(">I", len(part)) + part)
    return int.from_bytes(whole.digest(), "big") | 1


@dataclass(slots=True)
class Column:
    """A growing array by offset."""

    dtype: str
    fill: int
    rows: Any = field(init=False)

    def __post_init__(self) -> None:
        self.rows = np.full(1024, self.fill, self.dtype)

    def set(self, at: int, value: int) -> None:
        """One value."""
        if at >= len(self.rows):
            more = np.full(max(at + 1, 2 * len(self.rows)) - len(self.rows), self.fill, self.dtype)
            self.rows = np.concatenate([self.rows, more])
        self.rows[at] = value


class PartitionModel:
    """One partition. All methods may be called from any thread; failures are sentences."""

    def __init__(self, topic: SoakTopic, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.end = 0  # one past the last acknowledged offset
        self.low = 0  # the highest log start offset that was told
        self.cut_at = 0  # the highest offset that DeleteRecords was asked for
        self.explained = 0  # offsets that were missing for a reason
        self._lock = threading.Lock()
        self._digests = Column("u8", _UNKNOWN)
        self._stamps = Column("i8", -1)
        self._keys = Column("i4", _NO_KEY)
        self._tombstones = Column("?", False)
        self._numbers: dict[bytes, int] = {}  # key → its number
        self._newest = Column("i8", -1)  # number of a key → its newest offset
        self._claims: dict[int, int] = {}  # offset → digest of what a reader saw before the acknowledgement
        self._gaps: list[Gap] = []

    # What producers hear

    def acknowledge(self, offset: int, key: bytes | None, tombstone: bool, stamp: int, digest: int) -> str | None:
        """A record stands at an offset."""
        with self._lock:
            known = self._digests.rows[offset] if offset < self.end else _UNKNOWN
            if known != _UNKNOWN:
                return f"two records were acknowledged at offset {offset}"
            self._digests.set(offset, digest)
            self._stamps.set(offset, stamp)
            number = _NO_KEY if key is None else self._numbers.setdefault(key, len(self._numbers))
            self._keys.set(offset, number)
            self._tombstones.set(offset, tombstone)
            if number != _NO_KEY and (number >= len(self._newest.rows) or self._newest.rows[number] < offset):
                self._newest.set(number, offset)
            self.end = max(self.end, offset + 1)
            claim = self._claims.pop(offset, digest)
            if claim != digest:
                return f"a reader saw {claim:x} at offset {offset}, where {digest:x} was acknowledged"
            return None

    # What readers see

    def check(self, rows: Sequence[Seen]) -> list[str]:
        """Records that a reader got, against what was acknowledged at their offsets."""
        wrong = []
        with self._lock:
            for row in rows:
                known = int(self._digests.rows[row.offset]) if row.offset < self.end else _UNKNOWN
                if known == _UNKNOWN:
                    known = self._claims.setdefault(row.offset, row.digest)
                if known != row.digest:
                    wrong.append(f"offset {row.offset} must be {known:x}, read was {row.digest:x} of key {row.key!r}")
        return wrong

    def check_gap(self, gap: Gap, now_ms: int) -> list[str]:
        """Offsets that a reader did not get. What nothing explains yet is asked for again later."""
        if not self.topic.compacted:
            return [f"{gap.reader} expected offset {gap.start} and got {gap.end}: {self.topic.name} is never cleaned"]
        with self._lock:
            missing, wrong = self._unexplained(gap, now_ms)
            if missing.size:
                self._gaps.append(gap)
            else:
                self.explained += gap.end - gap.start
        return wrong

    def settle(self, now: float, now_ms: int) -> list[str]:
        """Look again at the gaps that nothing explained; those whose time is over are failures."""
        with self._lock:
            gaps, self._gaps = self._gaps, []
            wrong = []
            for gap in gaps:
                missing, _ = self._unexplained(gap, now_ms)
                if not missing.size:
                    self.explained += gap.end - gap.start
                elif now < gap.deadline:
                    self._gaps.append(gap)
                else:
                    wrong.append(f"{gap.reader} did not get offset {self._describe(int(missing[0]))}, of {gap}")
            return wrong

    def unsettled(self) -> list[str]:
        """What readers saw and no producer was told of."""
        with self._lock:
            return [f"offset {offset} was read and never acknowledged" for offset in sorted(self._claims)[:3]]

    def check_low(self, low: int, before: int, now_ms: int) -> str | None:
        """A log start offset that the leader told; `before`: what was known when it was asked."""
        with self._lock:
            self.low = max(self.low, low)
            if low < before:
                return f"the log start offset was {before}, now it is {low}"
            if low > self.end + len(self._claims):
                return f"the log start offset {low} is above all that was acknowledged ({self.end})"
            if low > self.cut_at and not self.topic.shrinks:
                if self.topic.retention_ms is None:
                    return f"the log start offset is {low}, and nothing may raise it above {self.cut_at}"
                youngest = self._youngest(self.cut_at, low, now_ms)
                if youngest + self.topic.retention_ms > now_ms:
                    return f"the log start offset is {low}: a record below it is only {now_ms - youngest} ms old"
            return None

    # What must be there

    def offset_at(self, timestamp: int) -> int | None:
        """Of a topic that is kept whole and fully acknowledged: the first offset of that timestamp or a later one."""
        with self._lock:
            found = np.flatnonzero(self._stamps.rows[: self.end] >= timestamp)
            return int(found[0]) if found.size else None

    def stamp(self, offset: int) -> int:
        """Of an acknowledged record; -1: not acknowledged yet."""
        with self._lock:
            return int(self._stamps.rows[offset]) if offset < self.end else -1

    def some_stamp(self, share: float) -> int:
        """A timestamp about so far into the log, ms."""
        with self._lock:
            at = self.low + int(share * max(0, self.end - 1 - self.low))
            return max(0, int(self._stamps.rows[at]))

    def newest_of_each(self) -> dict[bytes, tuple[int, bool]]:
        """Key → its newest offset, and whether that is a tombstone."""
        with self._lock:
            return {
                key: (int(self._newest.rows[number]), bool(self._tombstones.rows[self._newest.rows[number]]))
                for key, number in self._numbers.items()
            }

    def keys_in(self, first: int, last: int) -> int:
        """How many keys the records from `first` to `last` (inclusive) have."""
        with self._lock:
            keys = self._keys.rows[first : last + 1]
            return len(np.unique(keys[keys != _NO_KEY]))

    def acknowledged(self) -> int:
        """How many records."""
        with self._lock:
            return int(np.count_nonzero(self._digests.rows))

    def _youngest(self, start: int, end: int, now_ms: int) -> int:
        """The latest timestamp of these records, but for those that cleaning may have taken."""
        places = np.arange(start, min(end, self.end))
        stays = ~self._cleanable(places, now_ms) if self.topic.compacted else np.ones(len(places), bool)
        return int(self._stamps.rows[places[stays]].max(initial=0))

    def _cleanable(self, places: Any, now_ms: int) -> Any:
        return self._replaced(places) | self._expired(places, now_ms)

    def _replaced(self, places: Any) -> Any:
        """Whether there is a newer record of the key."""
        keys = self._keys.rows[places]
        return np.where(keys >= 0, self._newest.rows[np.maximum(keys, 0)], -1) > places

    def _expired(self, places: Any, now_ms: int) -> Any:
        """Whether it is a tombstone that may be gone."""
        old = self._stamps.rows[places] + self.topic.delete_retention_ms <= now_ms
        return self._tombstones.rows[places] & old

    def _unexplained(self, gap: Gap, now_ms: int) -> tuple[Any, list[str]]:
        """Offsets of a gap that should have been read, and tombstones that went while older values were still seen."""
        end = min(gap.end, self.end)
        places = np.arange(gap.start, max(end, gap.start))
        replaced, expired = self._replaced(places), self._expired(places, now_ms)
        missing = places[~(replaced | expired) | (self._digests.rows[places] == _UNKNOWN)]
        if gap.end > self.end:
            missing = np.append(missing, np.arange(max(self.end, gap.start), gap.end))
        wrong = []
        if gap.older and (expired & ~replaced).any():
            names = {number: key for key, number in self._numbers.items()}
            for place in places[expired & ~replaced]:
                key = names[int(self._keys.rows[place])]
                if gap.older.get(key, place) < place:
                    wrong.append(f"{gap.reader} saw {key!r} at {gap.older[key]}, and not its tombstone at {place}")
        return missing, wrong

    def _describe(self, offset: int) -> str:
        if offset >= self.end or self._digests.rows[offset] == _UNKNOWN:
            return f"{offset}, of which no acknowledgement is known"
        key = self._keys.rows[offset]
        newest = int(self._newest.rows[key]) if key >= 0 else -1
        kind = "a tombstone" if self._tombstones.rows[offset] else "a value"
        return f"{offset}, {kind} of {int(self._stamps.rows[offset])} ms, the newest of its key is {newest}"
