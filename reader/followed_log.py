"""A partition that another node leads, as a reader node knows it. Plain: the shell that follows it hands in what came.

Three things say what it holds: the leader's answers (high watermark, log start, the batches of the tail), the epoch
record of that leader, and the history: the manifest and the extents, which are taken together and only when they leave
no gap. Nothing at or above the high watermark that a leader told is ever given away, and a later leader holds all that
was below it; only an unclean election may cut it off.
"""

from collections.abc import Callable, Sequence

from infra.cluster.extent_chain import is_chain
from infra.cluster.log_history import LogHistory
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment
from infra.partition import PartitionId
from infra.ports import EpochStart
from infra.records.batch import walk_batches
from infra.segment.extent import AbortedTransaction, Extent
from infra.view.port import PublishedPartition
from reader.followed_tail import FollowedTail
from reader.followed_transactions import FollowedTransactions


class FollowedLog:
    """Implements `LogReader`. Good to be read once `heard`."""

    def __init__(
        self,
        partition: PartitionId,
        epochs: Sequence[EpochStart],
        manifest: Manifest,
        published: PublishedPartition,
    ) -> None:
        """`epochs` as the leader's epoch record says, ascending. Manifest and extents must `fit` together."""
        self._partition = partition
        self._epochs = tuple(epochs)
        self._history = LogHistory(manifest, published.extents)
        self._published = max(published.end_offset, manifest.floor)
        self._tail = FollowedTail(self._published)
        self._transactions = _transactions_at(manifest, published)
        self._high_watermark = 0
        self._last_stable_offset = 0
        self._closed = False
        self._wakers: dict[object, Callable[[], None]] = {}
        self._torn = False  # a part of the tail is gone that told of transactions
        self.heard = False  # a leader has told its high watermark
        self.manifest_suspected = False  # a reader misses an object

    def __repr__(self) -> str:
        return f"FollowedLog({self._partition}, epoch {self.leader_epoch}, up to {self._high_watermark})"

    # As a reader sees it

    @property
    def partition(self) -> PartitionId:
        """Which one."""
        return self._partition

    @property
    def leads(self) -> bool:
        """Never: the log may end later than this node knows."""
        return False

    @property
    def leader_epoch(self) -> int:
        """Of the leader that is followed."""
        return self._epochs[-1].leader_epoch

    @property
    def epochs(self) -> Sequence[EpochStart]:
        """As `LogReader.epochs`."""
        return self._epochs

    @property
    def log_start_offset(self) -> int:
        """As the leader and the manifest tell: the higher of the two."""
        return self._history.log_start_offset

    @property
    def manifest(self) -> Manifest:
        """As `LogReader.manifest`."""
        return self._history.manifest

    @property
    def records_end(self) -> int:
        """As `LogReader.records_end`."""
        return self._history.records_end

    @property
    def high_watermark(self) -> int:
        """The highest that a leader has told, as far as the tail reaches."""
        return self._high_watermark

    @property
    def last_stable_offset(self) -> int:
        """As the leader told last, as far as the tail holds the ends of the transactions below it."""
        return self._last_stable_offset

    @property
    def log_end_offset(self) -> int:
        """The high watermark: what lies above it is not known here."""
        return self._high_watermark

    @property
    def tail_start_offset(self) -> int:
        """As `LogReader.tail_start_offset`."""
        return self._tail.start_offset

    @property
    def closed(self) -> bool:
        """True once it is followed no more."""
        return self._closed

    def check_ttl(self) -> None:
        """Nothing: a follower's answers hold whoever leads."""

    def read_tail(self, offset: int, max_bytes: int, upto: int, at_least_one: bool) -> list[memoryview]:
        """As `LogReader.read_tail`."""
        return self._tail.read(offset, max_bytes, upto, at_least_one)

    def tail_bytes(self, offset: int, upto: int, limit: int) -> int:
        """As `LogReader.tail_bytes`."""
        return self._tail.count_bytes(offset, upto, limit)

    def record_segments_from(self, offset: int) -> Sequence[RecordSegment]:
        """As `LogReader.record_segments_from`."""
        return self._history.segments_from(offset)

    def extents_from(self, offset: int) -> Sequence[Extent]:
        """As `LogReader.extents_from`."""
        return self._history.extents_from(offset)

    def aborted_between(self, offset: int, upto: int) -> Sequence[AbortedTransaction]:
        """As `LogReader.aborted_between`."""
        tail_start = self._tail.start_offset
        in_tail = self._transactions.aborted_between(max(offset, tail_start), upto)
        return [*self._history.aborted_between(offset, upto, tail_start), *in_tail]

    def suspect_manifest(self) -> None:
        """As `LogReader.suspect_manifest`."""
        self.manifest_suspected = True

    def on_advance(self, wake: Callable[[], None]) -> Callable[[], None]:
        """As `LogReader.on_advance`."""
        ticket = object()
        self._wakers[ticket] = wake

        def unsubscribe() -> None:
            self._wakers.pop(ticket, None)

        return unsubscribe

    # As its follower drives it

    @property
    def waited_for(self) -> bool:
        """Whether a reader waits for it to advance."""
        return bool(self._wakers)

    @property
    def next_offset(self) -> int:
        """What to ask the leader for."""
        return self._tail.end_offset

    def follow(self, epochs: Sequence[EpochStart]) -> None:
        """Another leader, by its epoch record; leaders between may never have been heard of. What the first one after
        ours did not hold any more (an unclean election) is cut off, wherever the last one starts. When that was in a
        transaction, which ones are open is not known any more: `restart` it before it is read again."""
        start_offset = min(one.start_offset for one in epochs if one.leader_epoch > self.leader_epoch)
        if self._transactions.reach(start_offset):
            self.heard, self._torn = False, True
            self._last_stable_offset = 0
        self._tail.cut(start_offset)
        self._epochs = tuple(epochs)
        self._high_watermark = min(self._high_watermark, self._tail.end_offset)
        self._last_stable_offset = min(self._last_stable_offset, self._high_watermark)
        self._wake()

    def take(self, high_watermark: int, last_stable_offset: int, log_start_offset: int, records: memoryview) -> bool:
        """An answer of the leader: offsets, and whole batches from `next_offset` on.

        False when the batches do not follow the tail: `restart` it then. Raises `Corrupt` for bytes that are none.
        """
        if self._torn:
            return False
        for header, batch in walk_batches(records, check_crc=False):  # whoever consumes them checks it
            if header.next_offset > high_watermark:
                break
            if not self._tail.append(header, batch):
                return False
            self._transactions.take(header, batch)
        # A leader may be ahead of what it could put into one answer: only what the tail reaches can be given.
        self._high_watermark = max(self._high_watermark, min(high_watermark, self._tail.end_offset))
        known = min(last_stable_offset, self._transactions.stable_below(self._high_watermark))
        self._last_stable_offset = max(self._last_stable_offset, min(known, self._high_watermark))
        if log_start_offset > self._history.log_start_offset:
            self._history.raise_log_start(log_start_offset)
        self.heard = True
        self._wake()
        return True

    def fits(self, manifest: Manifest, published: PublishedPartition) -> bool:
        """Whether this history can be taken: complete, of existing records, not older, joining the tail."""
        return (
            is_whole(self._epochs, manifest, published)
            and manifest.version >= self.manifest.version
            and self._tail.start_offset <= max(published.end_offset, manifest.floor)
        )

    def take_history(self, manifest: Manifest, published: PublishedPartition) -> None:
        """A newer history, which `fits`."""
        start = self._history.log_start_offset
        self._history = LogHistory(manifest, published.extents)
        if start > self._history.log_start_offset:
            self._history.raise_log_start(start)
        self._published = max(published.end_offset, manifest.floor)
        self._wake()

    def restart(self, manifest: Manifest, published: PublishedPartition) -> None:
        """Follow from the end of this whole history on, without the tail that was."""
        self._tail = FollowedTail(max(published.end_offset, manifest.floor))
        self._transactions = _transactions_at(manifest, published)
        self._torn = False
        self.take_history(manifest, published)

    def trim(self, max_bytes: int) -> bool:
        """Let go of what segments hold as well, the oldest first, down to `max_bytes`; whether that was reached."""
        self._tail.trim(self._published, max_bytes)
        self._transactions.forget_below(self._tail.start_offset)
        return self._tail.held_bytes <= max_bytes

    def close(self) -> None:
        """Followed no more: who waits is told."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        for wake in tuple(self._wakers.values()):
            wake()


def _transactions_at(manifest: Manifest, published: PublishedPartition) -> FollowedTransactions:
    """Those that are open where a tail begins."""
    return FollowedTransactions(published.producers if published.end_offset >= manifest.floor else ())


def is_whole(epochs: Sequence[EpochStart], manifest: Manifest, published: PublishedPartition) -> bool:
    """Whether record segments and extents together hold the log, without a gap and without what a later epoch has made
    void: the view is told of a replace before it forgets the extents, and read before the manifest is."""
    extents = [extent for extent in published.extents if extent.last_offset >= manifest.floor]
    return is_chain(extents, manifest.floor, published.end_offset) and not any(
        extent.leader_epoch < epoch.leader_epoch and extent.last_offset >= epoch.start_offset
        for epoch in epochs
        for extent in extents
    )
