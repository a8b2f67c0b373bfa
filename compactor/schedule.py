"""When a compactor looks at which partition next: pure, driven by the monotonic clock that it is handed.

Every partition has one compactor node that it prefers (rendezvous hashing, so all nodes agree without a word). The
others look at it too, but seldom: they step in where the preferred one does not get on with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush

from infra.cluster.rendezvous import preferred_node
from infra.partition import PartitionId

_QUIET_INTERVALS = 6  # the longest gap between two looks at a partition where nothing happens
_OTHERS_INTERVALS = 6  # between two looks at a partition that another node prefers
_MOST_FAILURES = 5  # the gap after a failure doubles so often


@dataclass(slots=True)
class _Turn:
    own: bool
    due: float = 0.0  # monotonic seconds
    quiet: int = 0  # looks in a row that found nothing new
    failures: int = 0  # turns in a row that failed
    busy: bool = False


class Schedule:
    """The turns of all partitions."""

    def __init__(self, interval_seconds: float, node_id: int) -> None:
        self._interval = interval_seconds
        self._node_id = node_id
        self._turns: dict[PartitionId, _Turn] = {}
        self._queue: list[tuple[float, PartitionId]] = []

    def follow(self, partitions: Iterable[PartitionId], compactors: Iterable[int], now: float) -> list[PartitionId]:
        """These partitions exist, and these nodes compact; answers the partitions that are gone."""
        nodes = {*compactors, self._node_id}
        known = set(partitions)
        for partition in known:
            own = preferred_node(partition, nodes) == self._node_id
            turn = self._turns.get(partition)
            if turn is None:
                turn = self._turns[partition] = _Turn(own)
                self._set(partition, turn, now if own else now + self._interval * _OTHERS_INTERVALS)
            elif own and not turn.own and not turn.busy:
                self._set(partition, turn, min(turn.due, now))
            turn.own = own
        gone = [partition for partition in self._turns if partition not in known]
        for partition in gone:
            del self._turns[partition]
        return gone

    def take(self, now: float) -> PartitionId | None:
        """The partition that waits longest for its turn, None when none is due. It is busy until it is handed back."""
        while self._queue and self._queue[0][0] <= now:
            due, partition = heappop(self._queue)
            turn = self._turns.get(partition)
            if turn is not None and not turn.busy and turn.due == due:  # else an older entry of the same partition
                turn.busy = True
                return partition
        return None

    def done(self, partition: PartitionId, now: float, *, news: bool) -> None:
        """Its turn is over; `news`: something was there to see or to do."""
        turn = self._turns.get(partition)
        if turn is None:
            return
        turn.quiet = 0 if news else turn.quiet + 1
        turn.failures = 0
        gap = min(2**turn.quiet, _QUIET_INTERVALS) if turn.own else _OTHERS_INTERVALS
        self._set(partition, turn, now + self._interval * gap)

    def failed(self, partition: PartitionId, now: float) -> int:
        """Its turn ended in an error; how many in a row."""
        turn = self._turns.get(partition)
        if turn is None:
            return 0
        turn.failures += 1
        self._set(partition, turn, now + self._interval * 2 ** min(turn.failures, _MOST_FAILURES))
        return turn.failures

    def _set(self, partition: PartitionId, turn: _Turn, due: float) -> None:
        turn.due, turn.busy = due, False
        heappush(self._queue, (due, partition))
