"""What a partition remembers of its idempotent producers, so that a batch sent twice is appended once.

Of each producer: its epoch and its last five batches, as Kafka does. Entries are immutable, so states as of different
offsets (appended, flushed, published) share them. Plain: no clock, no log; must not know how batches are stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.records.batch import BatchHeader
from infra.segment.extent import ProducerEntry

REMEMBERED_BATCHES = 5  # Kafka's window: a producer has at most five requests in flight
SEQUENCES = 1 << 31  # a sequence after 2**31 - 1 is 0 again


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A batch that was appended before: where it lies (inclusive offsets), and its timestamp then (ms)."""

    base_offset: int
    last_offset: int
    timestamp: int


def advance(entry: ProducerEntry | None, header: BatchHeader, appended_ms: int) -> ProducerEntry:
    """A producer's entry after one more batch, whose offsets are assigned and which was checked before.

    `appended_ms` is the leader's clock at the append: what expiry counts from.
    """
    batches: tuple[tuple[int, int, int, int], ...] = ()
    if entry is not None and entry.producer_epoch == header.producer_epoch:
        batches = entry.batches
    if header.base_sequence >= 0:
        batch = (header.base_sequence, header.last_sequence, header.base_offset, header.max_timestamp)
        batches = (*batches[-REMEMBERED_BATCHES + 1 :], batch)
    return ProducerEntry(header.producer_id, header.producer_epoch, batches, appended_ms)


class ProducerState:
    """The idempotent producers of one partition as of its log end."""

    def __init__(self, entries: Iterable[ProducerEntry] = ()) -> None:
        self._entries = {entry.producer_id: entry for entry in entries}
        # Sequences known to lie before the window, for those producers whose window has moved while we watched.
        self._before: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, producer_id: int) -> ProducerEntry | None:
        """What is known of one producer."""
        return self._entries.get(producer_id)

    def entries(self) -> tuple[ProducerEntry, ...]:
        """All that is known, as a snapshot carries it."""
        return tuple(self._entries.values())

    def check(self, header: BatchHeader) -> Duplicate | None:
        """Judge a batch that has a producer id and a sequence: None to append it, or the same batch of before.

        Raises `Refused`: INVALID_PRODUCER_EPOCH (an older producer), OUT_OF_ORDER_SEQUENCE_NUMBER (a gap, or a
        new epoch that does not begin with 0), DUPLICATE_SEQUENCE_NUMBER (appended before, but where is forgotten).
        A producer that nothing is known of may begin with any sequence (KIP-360).
        """
        entry = self._entries.get(header.producer_id)
        if entry is None:
            return None
        if header.producer_epoch != entry.producer_epoch:
            self._check_new_epoch(entry, header)
            return None
        first, last = header.base_sequence, header.last_sequence
        for known_first, known_last, base_offset, timestamp in entry.batches:
            if (known_first, known_last) == (first, last):
                return Duplicate(base_offset, base_offset + (last - first) % SEQUENCES, timestamp)
        expected = (entry.batches[-1][1] + 1) % SEQUENCES if entry.batches else 0
        if first != expected:
            raise self._out_of_order(entry, header, expected)
        return None

    def apply(self, header: BatchHeader, appended_ms: int) -> None:
        """Remember a batch that was appended; its header carries the offsets assigned."""
        producer_id = header.producer_id
        entry = self._entries.get(producer_id)
        after = advance(entry, header, appended_ms)
        self._entries[producer_id] = after
        if entry is None or entry.producer_epoch != after.producer_epoch:
            self._before.pop(producer_id, None)
        elif len(entry.batches) == REMEMBERED_BATCHES and entry.batches[0] != after.batches[0]:
            first, last = entry.batches[0][:2]
            passed = self._before.get(producer_id, 0) + (last - first) % SEQUENCES + 1
            self._before[producer_id] = min(passed, SEQUENCES // 2)

    def expire(self, before_ms: int) -> int:
        """Forget producers that appended nothing since `before_ms` (producer.id.expiration.ms); how many."""
        idle = [key for key, entry in self._entries.items() if entry.last_timestamp < before_ms]
        for producer_id in idle:
            del self._entries[producer_id]
            self._before.pop(producer_id, None)
        return len(idle)

    @staticmethod
    def _check_new_epoch(entry: ProducerEntry, header: BatchHeader) -> None:
        if header.producer_epoch < entry.producer_epoch:
            raise Refused(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {header.producer_id} is at epoch {entry.producer_epoch}, not {header.producer_epoch}",
            )
        if header.base_sequence != 0:
            raise Refused(
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"epoch {header.producer_epoch} of producer {header.producer_id} must begin with sequence 0, "
                f"not {header.base_sequence}",
            )

    def _out_of_order(self, entry: ProducerEntry, header: BatchHeader, expected: int) -> Refused:
        # Only what was seen passing out of the window is called a duplicate: clients take that answer for success.
        first = header.base_sequence
        back = (entry.batches[0][0] - first) % SEQUENCES if entry.batches else 0
        if header.last_offset_delta < back <= self._before.get(header.producer_id, 0):
            return Refused(
                ErrorCode.DUPLICATE_SEQUENCE_NUMBER,
                f"sequence {first} of producer {header.producer_id} was appended long ago, {expected} is the next",
            )
        return Refused(
            ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
            f"sequence {first} of producer {header.producer_id} is out of order, {expected} is the next",
        )
