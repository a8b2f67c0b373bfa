"""The transactions of a led partition: which its readers of committed records must stop at, and which were aborted.

Plain: offsets only. Whoever appends says what came; who may append is decided in `producer_state`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from infra.records.batch import BatchHeader
from infra.records.control import Marker
from infra.segment.aborted import AbortedTransactions
from infra.segment.extent import AbortedTransaction, ProducerEntry

_OPEN = -1


class LogTransactions:
    """As of the log end, but for those that were aborted before the tail began."""

    def __init__(self, producers: Iterable[ProducerEntry] = ()) -> None:
        """`producers` as a lease finds them."""
        begun = sorted(entry.transaction_first_offset for entry in producers if entry.in_transaction)
        # First offset → its marker's, ascending: what nothing may be read behind, open or not durably ended.
        self._ends: OrderedDict[int, int] = OrderedDict.fromkeys(begun, _OPEN)
        self._aborted = AbortedTransactions()

    def __len__(self) -> int:
        """How many are open, or not known yet to have ended for good."""
        return len(self._ends)

    def begin(self, first_offset: int) -> None:
        """A producer's first record in a transaction is appended; it lies above all before."""
        self._ends[first_offset] = _OPEN

    def end(self, entry: ProducerEntry, header: BatchHeader, marker: Marker) -> None:
        """The open transaction of a producer, as its entry has it, is ended by this batch."""
        self._ends[entry.transaction_first_offset] = header.last_offset
        if not marker.commit:
            self._aborted.add([aborted_by(entry, header)])

    def stable_below(self, high_watermark: int) -> int:
        """The last stable offset, given a high watermark that never falls: below it every transaction has ended for
        good."""
        while self._ends:
            first_offset, last_offset = next(iter(self._ends.items()))
            if last_offset == _OPEN or last_offset >= high_watermark:
                return min(first_offset, high_watermark)
            del self._ends[first_offset]
        return high_watermark

    def aborted_between(self, offset: int, upto: int) -> Sequence[AbortedTransaction]:
        """Those with a record below `upto` whose markers lie at or above `offset`, in the order of their markers."""
        return self._aborted.between(offset, upto)

    def forget_below(self, offset: int) -> None:
        """Extents say which were aborted below the tail's start."""
        self._aborted.forget_below(offset)


def aborted_by(entry: ProducerEntry, marker: BatchHeader) -> AbortedTransaction:
    """The open transaction of a producer, once a marker has aborted it."""
    return AbortedTransaction(entry.producer_id, entry.transaction_first_offset, marker.last_offset)
