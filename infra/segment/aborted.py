"""The aborted transactions of a stretch of log, as Fetch tells them to consumers that read committed records only.

Those whose records lie in a range of offsets are found without a look at each, however many there are. Plain.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np

from infra.segment.extent import AbortedTransaction


class AbortedTransactions:
    """In the order of their markers."""

    def __init__(self, transactions: Iterable[AbortedTransaction] = ()) -> None:
        self._transactions: list[AbortedTransaction] = []
        self._first_offsets, self._last_offsets = array("q"), array("q")
        self.add(transactions)

    def __len__(self) -> int:
        return len(self._transactions)

    def add(self, transactions: Iterable[AbortedTransaction]) -> None:
        """Go on with these; their markers follow all before."""
        for one in transactions:
            self._transactions.append(one)
            self._first_offsets.append(one.first_offset)
            self._last_offsets.append(one.last_offset)

    def between(self, offset: int, upto: int) -> Sequence[AbortedTransaction]:
        """Those with a record below `upto` that end at or above `offset`."""
        begin = bisect_left(self._last_offsets, offset)
        if begin == len(self._transactions):
            return ()
        places = np.flatnonzero(np.array(self._first_offsets[begin:], np.int64) < upto)
        return [self._transactions[begin + place] for place in places.tolist()]

    def forget_below(self, offset: int) -> None:
        """Nothing below `offset` is asked for any more: those that end there go."""
        gone = bisect_left(self._last_offsets, offset)
        del self._transactions[:gone], self._first_offsets[:gone], self._last_offsets[:gone]
