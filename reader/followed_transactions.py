"""The transactions in the tail of a partition that another node leads, told from the batches alone. Plain.

The leader tells the last stable offset, the extents which transactions were aborted below the tail. What is asked here
is the rest: which abort markers the tail holds, and where their transactions began.
"""

from collections.abc import Iterable, Sequence

from infra.records.batch import BatchHeader
from infra.records.control import decode_marker
from infra.segment.aborted import AbortedTransactions
from infra.segment.extent import AbortedTransaction, ProducerEntry


class FollowedTransactions:
    """Of one tail, from the offset it begins at."""

    def __init__(self, producers: Iterable[ProducerEntry]) -> None:
        """`producers` as of where the tail begins; none where record segments alone hold what lies below it: what those
        hold is committed."""
        self._open = {entry.producer_id: entry.transaction_first_offset for entry in producers if entry.in_transaction}
        self._aborted = AbortedTransactions()
        self._last_offset = -1  # of the last batch in a transaction

    def take(self, header: BatchHeader, batch: memoryview) -> None:
        """The next batch. Raises `Corrupt` for a control batch that is none."""
        if not header.is_transactional:
            return
        self._last_offset = header.last_offset
        if not header.is_control:
            self._open.setdefault(header.producer_id, header.base_offset)
            return
        marker = decode_marker(batch)
        if marker is None:
            return
        first_offset = self._open.pop(header.producer_id, None)
        if first_offset is not None and not marker.commit:
            self._aborted.add([AbortedTransaction(header.producer_id, first_offset, header.last_offset)])

    def reach(self, offset: int) -> bool:
        """Whether a batch at or above `offset` was in a transaction: a log that is cut off there is not known then."""
        return self._last_offset >= offset

    def stable_below(self, high_watermark: int) -> int:
        """The first offset of the oldest transaction that has no marker in the tail, at most the high watermark: the
        leader may know its end already."""
        return min(self._open.values(), default=high_watermark)

    def aborted_between(self, offset: int, upto: int) -> Sequence[AbortedTransaction]:
        """Those with a record below `upto` whose markers lie in the tail, at or above `offset`."""
        return self._aborted.between(offset, upto)

    def forget_below(self, offset: int) -> None:
        """The tail begins there now: extents hold what lay below."""
        self._aborted.forget_below(offset)
