"""What the segments of one ended session hold at the last epochs of its partitions: lists them, and reads the footers
that `FooterWalk` asks for.

Whoever calls has made sure that the session is over or these leases given back. A footer that is gone was garbage:
nothing that is needed is ever deleted. What a WAL returned stands apart, is little, and is read whole.
"""

import logging
from collections.abc import Mapping, Sequence

from infra.all_of import all_of
from infra.errors import Corrupt, NotFound
from infra.object_key import FIRST_RETURNED, BatchSegmentKey, batches_of_session, parse_key
from infra.partition import PartitionId, SessionId
from infra.segment.extent import FlushedExtent
from infra.segment.footer import SegmentFooter, read_footer
from infra.segment.holders import Holders, carrier_at_or_below
from infra.store.port import ObjectStore
from ingest.footer_walk import FooterWalk, SoughtEpoch
from ingest.requests import Requests

_log = logging.getLogger(__name__)


class SessionExtents:
    """Reads one session after another. Keeps nothing."""

    def __init__(self, store: ObjectStore, requests: Requests) -> None:
        self._store = store
        self._requests = requests

    async def read(
        self, session: SessionId, sought: Mapping[PartitionId, SoughtEpoch], hint: int
    ) -> Mapping[PartitionId, list[FlushedExtent]]:
        """Every extent of these epochs that is not known, perhaps with some that are.

        `hint`: the sequence of a segment that landed, best of the newest, or -1. The listing begins there, and nothing
        else is concluded from it. Raises `Corrupt` when a footer that is needed is damaged.
        """
        listed_from = max(0, carrier_at_or_below(hint))
        flushes, returned = await self._list(session, listed_from)
        footers = await self._footers(session, returned)
        walk = FooterWalk(sought, flushes[-1] if flushes else listed_from - 1)
        while (stretch := walk.next()) is not None:
            if stretch.start < listed_from:
                listed_from = stretch.start
                flushes, _ = await self._list(session, listed_from)
            read = await self._footers(session, [sequence for sequence in flushes if sequence in stretch])
            walk.read(_holders(session, read))
            footers.update(read)
        found: dict[PartitionId, list[FlushedExtent]] = {}
        for footer in footers.values():
            for one in footer.flushed:
                epoch = sought.get(one.extent.partition)
                if epoch is not None and epoch.leader_epoch == one.extent.leader_epoch:
                    found.setdefault(one.extent.partition, []).append(one)
        return found

    async def _list(self, session: SessionId, first: int) -> tuple[list[int], list[int]]:
        """Sequences from `first` on, ascending: of the session's flushes, and of what a WAL returned."""
        start_after = BatchSegmentKey(session, first - 1).key if first else ""
        listing = self._store.list(batches_of_session(session), start_after=start_after)
        keys = [parse_key(info.key) async for info in listing]
        sequences = [key.sequence for key in keys if isinstance(key, BatchSegmentKey)]
        return [one for one in sequences if one < FIRST_RETURNED], [one for one in sequences if one >= FIRST_RETURNED]

    async def _footers(self, session: SessionId, sequences: Sequence[int]) -> dict[int, SegmentFooter]:
        """Those that are there, by sequence."""
        reading = [self._requests.one(self._footer, BatchSegmentKey(session, one).key) for one in sequences]
        footers = zip(sequences, await all_of(reading), strict=True)
        return {sequence: footer for sequence, footer in footers if footer is not None}

    async def _footer(self, key: str) -> SegmentFooter | None:
        try:
            return await read_footer(self._store, key)
        except NotFound:  # garbage by now
            return None


def _holders(session: SessionId, footers: Mapping[int, SegmentFooter]) -> dict[int, Holders]:
    """What these footers tell of others. It only spares reading, so what is damaged of it costs nothing else."""
    told: dict[int, Holders] = {}
    for sequence, footer in footers.items():
        if footer.holders is None:
            continue
        try:
            told[sequence] = Holders.decode(footer.holders)
        except Corrupt as error:
            _log.error("%s: %s", BatchSegmentKey(session, sequence).key, error)
    return told
