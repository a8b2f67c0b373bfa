"""Record batches of `__consumer_offsets` to the changes they bring, in order. No I/O.

Offsets committed in a transaction count from its commit marker on, and never when it was aborted. Of two commits of one
offset the one further on in the log counts, whichever became valid first: so it stays when cleaning has left only one.
"""

import logging
from collections import Counter
from collections.abc import Sequence, Set

from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.partition import TopicPartition
from infra.records.batch import BatchHeader
from infra.records.control import decode_marker
from infra.records.decode import decode_batch
from infra.store.port import Buffer
from ingest.coordinator.offset_records import Change, GroupChange, OffsetChange, decode_change

log = logging.getLogger(__name__)

_Key = tuple[str, str, int] | str
_Placed = tuple[int, Change]  # the offset of its record


class Replay:
    """Feed it the batches of one partition from some offset on: decoded ones, or what oneself has appended."""

    def __init__(self) -> None:
        # Producer id → what its open transaction would change, by what it changes; ascending by first offset.
        self._open: dict[int, dict[_Key, _Placed]] = {}
        self._begun: dict[int, int] = {}  # producer id → offset of the first record
        self._names: dict[int, set[_Key]] = {}  # producer id → all that it has changed, or would
        self._pending: dict[str, Counter[TopicPartition]] = {}  # group → how many open transactions commit each

    def feed(self, batch: Buffer) -> list[Change]:
        """The changes that became valid with this batch. Raises `Corrupt` for bytes that are no batch."""
        header = BatchHeader.parse(batch)
        if header.is_control:
            marker = decode_marker(batch)
            return [] if marker is None else self.end(marker.producer_id, marker.commit)
        changes = [
            (record.offset, change)
            for record in decode_batch(batch)
            if (change := _read(record.key, record.value)) is not None
        ]
        return self.take(changes, header.producer_id if header.is_transactional else None)

    def take(self, changes: Sequence[_Placed], producer_id: int | None) -> list[Change]:
        """Records at these offsets, in the transaction of a producer or in none: what became valid with them."""
        if producer_id is None:
            for offset, change in changes:
                self._supersede(offset, change)
            return [change for _, change in changes]
        for offset, change in changes:
            self._begun.setdefault(producer_id, offset)
            key = _key(change)
            self._open.setdefault(producer_id, {})[key] = (offset, change)
            names = self._names.setdefault(producer_id, set())
            if key not in names and isinstance(change, OffsetChange):
                self._pending.setdefault(change.group, Counter())[change.topic, change.partition] += 1
            names.add(key)
        return []

    def end(self, producer_id: int, commit: bool) -> list[Change]:
        """The marker of a producer's transaction: what became valid with it."""
        self._begun.pop(producer_id, None)
        self._settle_names(producer_id)
        changes = sorted(self._open.pop(producer_id, {}).values(), key=lambda placed: placed[0])
        if not commit:
            return []
        for offset, change in changes:
            self._supersede(offset, change)
        return [change for _, change in changes]

    def pending(self, group: str) -> Set[TopicPartition]:
        """What open transactions commit of a group."""
        return self._pending.get(group, Counter[TopicPartition]()).keys()

    @property
    def pending_groups(self) -> Sequence[str]:
        """The groups of which open transactions commit something."""
        return list(self._pending)

    def stable_below(self, upto: int) -> int:
        """From where a replay would have to begin to know the transactions that are open at `upto`."""
        return min(self._begun.values(), default=upto)

    def _settle_names(self, producer_id: int) -> None:
        for key in self._names.pop(producer_id, ()):
            if isinstance(key, str):
                continue
            group, topic, partition = key
            counts = self._pending[group]
            counts[topic, partition] -= 1
            if not counts[topic, partition]:
                del counts[topic, partition]
            if not counts:
                del self._pending[group]

    def _supersede(self, offset: int, change: Change) -> None:
        """What open transactions would change before this in the log counts no more."""
        key = _key(change)
        for changes in self._open.values():
            known = changes.get(key)
            if known is not None and known[0] < offset:
                del changes[key]


def _key(change: Change) -> _Key:
    return change.group if isinstance(change, GroupChange) else (change.group, change.topic, change.partition)


def _read(key: Buffer | None, value: Buffer | None) -> Change | None:
    try:
        return decode_change(key, value)
    except CauceError as error:
        # Kept out rather than keeping a whole coordinator from loading; UNSUPPORTED_VERSION is a newer broker's.
        level = logging.INFO if error.code is ErrorCode.UNSUPPORTED_VERSION else logging.WARNING
        log.log(level, "a record of __consumer_offsets is passed over: %s", error.message)
        return None
