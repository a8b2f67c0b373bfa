"""Remembers, as a session gives out its segments, which was the last to hold each partition. Plain: no I/O.

Nothing is forgotten because a lease was given back or lost: whoever takes it next asks for that very epoch, perhaps of
a view that has gone back, and silence would say that there is nothing. When the session leads a partition again, that
replaces what was known of it; beyond a great number those written longest ago are given up, and `since` says so.
"""

from collections.abc import Iterable

from infra.partition import PartitionId
from infra.segment.holders import Holder, Holders

MOST_HOLDERS = 10_000
"""Bounds an entry to about 130 KB, however many topics come and go in one session."""


class LastHolders:
    """Of one session, from the first sequence that it is told of."""

    def __init__(self, since: int, most: int = MOST_HOLDERS) -> None:
        self._since = since
        self._most = most
        self._last: dict[PartitionId, Holder] = {}  # those written longest ago first

    def note(self, sequence: int, parts: Iterable[tuple[PartitionId, int, int]]) -> None:
        """The segment of this sequence, the next one, will hold these: partition, leader epoch, last offset."""
        for partition, leader_epoch, last_offset in parts:
            self._last.pop(partition, None)
            self._last[partition] = Holder(sequence, leader_epoch, last_offset)
        while len(self._last) > self._most:
            given_up = self._last.pop(next(iter(self._last)))
            self._since = given_up.sequence + 1

    def holders(self) -> Holders:
        """Of all that was noted."""
        return Holders(self._since, dict(self._last))
