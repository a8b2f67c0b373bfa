"""What a partition remembers of its producers: a batch sent twice is appended once, and a transaction is one or none.

Of each producer: its epoch, its last five batches and where its open transaction began, as Kafka does. Entries are
immutable, so states as of different offsets (appended, flushed, published) share them. Plain: no clock, no log; must
not know how batches are stored.
"""

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass

from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.ports import Verification
from infra.records.batch import BatchHeader
from infra.records.control import Marker, decode_marker
from infra.segment.extent import NO_TRANSACTION, AbortedTransaction, ProducerEntry
from infra.store.port import Buffer
from ingest.log_transactions import aborted_by

REMEMBERED_BATCHES = 5  # Kafka's window: a producer has at most five requests in flight
SEQUENCES = 1 << 31  # a sequence after 2**31 - 1 is 0 again


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A batch that was appended before: where it lies (inclusive offsets), and its timestamp then (ms)."""

    base_offset: int
    last_offset: int
    timestamp: int


def advance(
    entry: ProducerEntry | None, header: BatchHeader, appended_ms: int, marker: Marker | None = None
) -> ProducerEntry:
    """A producer's entry after one more batch, whose offsets are assigned and which was checked before.

    `appended_ms` is the leader's clock at the append: what expiry counts from. `marker`: what a control batch says.
    """
    batches: tuple[tuple[int, int, int, int], ...] = ()
    coordinator_epoch, first_offset = -1, NO_TRANSACTION
    if entry is not None:
        coordinator_epoch, first_offset = entry.coordinator_epoch, entry.transaction_first_offset
        if entry.producer_epoch == header.producer_epoch:
            batches = entry.batches
    if marker is not None:
        coordinator_epoch, first_offset = marker.coordinator_epoch, NO_TRANSACTION
    elif header.is_transactional and first_offset == NO_TRANSACTION and not header.is_control:
        first_offset = header.base_offset
    if header.base_sequence >= 0:
        batch = (header.base_sequence, header.last_sequence, header.base_offset, header.max_timestamp)
        batches = (*batches[-REMEMBERED_BATCHES + 1 :], batch)
    return ProducerEntry(
        header.producer_id, header.producer_epoch, batches, appended_ms, coordinator_epoch, first_offset
    )


class ProducerChanges:
    """What a run of batches, in order, does to the producers of a partition: what goes with them into a segment."""

    def __init__(self, known: MutableMapping[int, ProducerEntry]) -> None:
        """`known`, by producer id, is moved on."""
        self._known = known
        self._changed: dict[int, ProducerEntry] = {}
        self._aborted: list[AbortedTransaction] = []

    @property
    def producers(self) -> tuple[ProducerEntry, ...]:
        """Those that were changed, as of the last batch."""
        return tuple(self._changed.values())

    @property
    def aborted(self) -> tuple[AbortedTransaction, ...]:
        """The transactions whose abort markers are among the batches."""
        return tuple(self._aborted)

    def take(self, header: BatchHeader, batch: Buffer, appended_ms: int) -> None:
        """The next batch, as it stands in the log; one without a producer changes nothing."""
        if not header.has_producer:
            return
        before = self._known.get(header.producer_id)
        marker = decode_marker(batch) if header.is_control else None
        after = advance(before, header, appended_ms, marker)
        self._known[header.producer_id] = self._changed[header.producer_id] = after
        if marker is not None and not marker.commit and before is not None and before.in_transaction:
            self._aborted.append(aborted_by(before, header))


class ProducerState:
    """The producers of one partition as of its log end."""

    def __init__(self, entries: Iterable[ProducerEntry] = ()) -> None:
        self._entries = {entry.producer_id: entry for entry in entries}
        self._verifications: dict[int, Verification] = {}
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

    def check(self, header: BatchHeader, verification: Verification | None = None) -> Duplicate | None:
        """Judge a batch that has a producer id: None to append it, or the same batch of before.

        Raises `Refused`: INVALID_PRODUCER_EPOCH (an older producer), OUT_OF_ORDER_SEQUENCE_NUMBER (a gap, or a
        new epoch that does not begin with 0), DUPLICATE_SEQUENCE_NUMBER (appended before, but where is forgotten),
        INVALID_TXN_STATE (a transaction that is neither open here nor verified, or none while one is open).
        A producer that nothing is known of may begin with any sequence (KIP-360). Without a sequence (what coordinators
        append) there is no order to be kept.
        """
        entry = self._entries.get(header.producer_id)
        duplicate = self._check_sequence(entry, header)
        if duplicate is None:
            self._check_transaction(entry, header, verification)
        return duplicate

    def check_marker(self, marker: Marker) -> None:
        """Judge the end of a transaction; one that has nothing open here is as good as any other.

        Raises `Refused`: INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED (an older coordinator's).
        """
        entry = self._entries.get(marker.producer_id)
        if entry is None:
            return
        if marker.producer_epoch < entry.producer_epoch:
            raise _old_epoch(entry, marker.producer_epoch)
        if marker.coordinator_epoch < entry.coordinator_epoch:
            raise Refused(
                ErrorCode.TRANSACTION_COORDINATOR_FENCED,
                f"coordinator epoch {entry.coordinator_epoch} has ended a transaction of producer "
                f"{marker.producer_id} here, {marker.coordinator_epoch} is older",
            )

    def must_be_verified(self, header: BatchHeader) -> bool:
        """Whether a transactional batch would begin a transaction here: ask its coordinator first. One that is refused
        or was appended before needs no asking."""
        entry = self._entries.get(header.producer_id)
        if not header.is_transactional or (entry is not None and _continues(entry, header)):
            return False
        try:
            return self._check_sequence(entry, header) is None
        except CauceError:
            return False

    def begin_verification(self, producer_id: int) -> Verification:
        """Its coordinator is asked now; whoever asks meanwhile shares it."""
        found = self._verifications.setdefault(producer_id, Verification())
        found.old = False
        return found

    def _check_sequence(self, entry: ProducerEntry | None, header: BatchHeader) -> Duplicate | None:
        if entry is None:
            return None
        if header.producer_epoch < entry.producer_epoch:
            raise _old_epoch(entry, header.producer_epoch)
        if header.base_sequence < 0:
            return None
        if header.producer_epoch != entry.producer_epoch:
            self._check_new_epoch(header)
            return None
        first, last = header.base_sequence, header.last_sequence
        for known_first, known_last, base_offset, timestamp in entry.batches:
            if (known_first, known_last) == (first, last):
                return Duplicate(base_offset, base_offset + (last - first) % SEQUENCES, timestamp)
        expected = (entry.batches[-1][1] + 1) % SEQUENCES if entry.batches else 0
        if first != expected:
            raise self._out_of_order(entry, header, expected)
        return None

    def _check_transaction(
        self, entry: ProducerEntry | None, header: BatchHeader, verification: Verification | None
    ) -> None:
        if not header.is_transactional:
            if entry is not None and entry.in_transaction:
                raise Refused(
                    ErrorCode.INVALID_TXN_STATE,
                    f"producer {header.producer_id} has a transaction open in the partition",
                )
            return
        if entry is not None and _continues(entry, header):
            return
        if verification is None or self._verifications.get(header.producer_id) is not verification:
            raise Refused(
                ErrorCode.INVALID_TXN_STATE,
                f"the partition is not in an open transaction of producer {header.producer_id}",
            )

    def apply(self, header: BatchHeader, appended_ms: int, marker: Marker | None = None) -> None:
        """Remember a batch that was appended; its header carries the offsets assigned."""
        producer_id = header.producer_id
        entry = self._entries.get(producer_id)
        after = advance(entry, header, appended_ms, marker)
        self._entries[producer_id] = after
        if marker is not None or after.in_transaction:
            self._verifications.pop(producer_id, None)
        if entry is None or entry.producer_epoch != after.producer_epoch:
            self._before.pop(producer_id, None)
        elif len(entry.batches) == REMEMBERED_BATCHES and entry.batches[0] != after.batches[0]:
            first, last = entry.batches[0][:2]
            passed = self._before.get(producer_id, 0) + (last - first) % SEQUENCES + 1
            self._before[producer_id] = min(passed, SEQUENCES // 2)

    def expire(self, before_ms: int) -> int:
        """Forget producers that appended nothing since `before_ms` (producer.id.expiration.ms); how many."""
        self._verifications = {key: one for key, one in self._verifications.items() if not one.old}
        for verification in self._verifications.values():
            verification.old = True
        idle = [key for key, entry in self._entries.items() if is_idle(entry, before_ms)]
        for producer_id in idle:
            del self._entries[producer_id]
            self._before.pop(producer_id, None)
        return len(idle)

    @staticmethod
    def _check_new_epoch(header: BatchHeader) -> None:
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


def is_idle(entry: ProducerEntry, before_ms: int) -> bool:
    """Whether a producer may be forgotten; one with an open transaction never, so that its end is still understood."""
    return entry.last_timestamp < before_ms and not entry.in_transaction


def _continues(entry: ProducerEntry, header: BatchHeader) -> bool:
    return entry.in_transaction and entry.producer_epoch == header.producer_epoch


def _old_epoch(entry: ProducerEntry, producer_epoch: int) -> Refused:
    return Refused(
        ErrorCode.INVALID_PRODUCER_EPOCH,
        f"producer {entry.producer_id} is at epoch {entry.producer_epoch}, not {producer_epoch}",
    )
