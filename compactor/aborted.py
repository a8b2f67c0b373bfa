"""Which record batches belong to aborted transactions: those that no record segment ever holds. Plain."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from infra.records.batch import BatchHeader
from infra.segment.extent import AbortedTransaction


class AbortedBatches:
    """By the transactions that were aborted in a stretch of a partition."""

    def __init__(self, transactions: Iterable[AbortedTransaction]) -> None:
        """In the order of their markers."""
        self._by_producer: dict[int, list[AbortedTransaction]] = {}
        for one in transactions:
            self._by_producer.setdefault(one.producer_id, []).append(one)

    def without(self, batches: Sequence[memoryview]) -> list[memoryview]:
        """The others, in their order."""
        if not self._by_producer:
            return list(batches)
        return [batch for batch in batches if not self._holds(BatchHeader.parse(batch))]

    def _holds(self, header: BatchHeader) -> bool:
        if not header.is_transactional:
            return False
        known = self._by_producer.get(header.producer_id, [])
        place = bisect_right(known, header.base_offset, key=lambda one: one.last_offset)
        return place < len(known) and known[place].first_offset <= header.base_offset
