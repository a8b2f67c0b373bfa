"""Acknowledgements that wait for a partition's log to become durable up to an offset.

Plain: says which may go, never when the clock or the session allows it.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from infra.errors import CauceError

Complete = Callable[[CauceError | None], None]  # called once: None when it holds, else why it never will


class WaitingAcks:
    """Those who wait for one offset to be passed: batches in order, duplicates of earlier ones in between."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Complete]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, upto: int, complete: Complete) -> None:
        """Wait until everything below `upto` holds."""
        heappush(self._heap, (upto, self._added, complete))
        self._added += 1

    def take(self, reached: int) -> list[Complete]:
        """Those that wait no longer once everything below `reached` holds, in the order of their offsets."""
        ready: list[Complete] = []
        while self._heap and self._heap[0][0] <= reached:
            ready.append(heappop(self._heap)[2])
        return ready

    def take_all(self) -> list[Complete]:
        """Everybody, for a log that ends."""
        ready = [complete for _, _, complete in sorted(self._heap, key=lambda row: row[:2])]
        self._heap.clear()
        return ready


def complete_all(acks: Iterable[Complete], error: CauceError | None = None) -> None:
    """Tell them."""
    for complete in acks:
        complete(error)
