"""Keeps the view's materialised offsets behind the log, in the background: a shortcut for the next to load them.

What is not applied yet is held back and merged; nothing waits for it. The view says when it has forgotten something
(wiped, or failed over to a stale replica): then it is given everything anew.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TypeVar

from infra.errors import CauceError, Corrupt, Fenced, Unavailable
from infra.partition import Lease
from infra.view.port import OffsetChanges, OffsetKey, OffsetRow
from ingest.coordinator.offset_records import Change, GroupChange
from ingest.coordinator.ports import OffsetsView

log = logging.getLogger(__name__)

Key = TypeVar("Key")
Value = TypeVar("Value")

ROWS_PER_CALL = 2_000
"""A view runs one script at a time; a longer one would hold up everybody's publishes."""

RETRY_SECONDS = 1.0


class ViewFeed:
    """One coordinator's stretch of the view. `run` is a task of its owner."""

    def __init__(
        self,
        view: OffsetsView,
        lease: Lease,
        interval_seconds: float,
        stable_upto: Callable[[], int],
        everything: Callable[[], OffsetChanges],
    ) -> None:
        """`stable_upto()`: nothing above it may count as applied (open transactions); `everything()`: all there is."""
        self._view = view
        self._lease = lease
        self._interval_seconds = interval_seconds
        self._stable_upto = stable_upto
        self._everything = everything
        self._offsets: dict[OffsetKey, OffsetRow | None] = {}
        self._groups: dict[str, bytes | None] = {}
        self._upto = 0
        self._applied: int | None = None  # None: the view has to be filled anew
        self._wake = asyncio.Event()

    @property
    def applied(self) -> int:
        """How far the view is, as far as is known; 0 when it has to be filled anew."""
        return self._applied or 0

    def begin(self, view_upto: int | None) -> None:
        """The partition is loaded: the view is that far (None: useless)."""
        self._applied = view_upto

    def add(self, changes: Iterable[Change], upto: int) -> None:
        """The log goes on by these changes, up to an offset (exclusive)."""
        for change in changes:
            if isinstance(change, GroupChange):
                self._groups[change.group] = change.value
            else:
                self._offsets[change.group, change.topic, change.partition] = change.row
        self._upto = upto
        self._wake.set()

    async def run(self) -> None:
        """Apply now and then, until fenced or cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._interval_seconds)
            self._wake.clear()
            try:
                await self.apply()
            except Fenced:
                return
            except CauceError as error:
                log.warning("offsets of %s stay behind in the view: %s", self._lease.partition, error.message)
                self._wake.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def apply(self) -> None:
        """Bring the view up to date now. Raises `Fenced` and `Unavailable` as the view does."""
        if self._applied is None:
            await self._fill()
            return
        if not await self._apply_rows():
            self._wake.set()  # a transaction is open: it becomes possible later

    async def _fill(self) -> None:
        await self._view.reset_offsets(self._lease)
        everything = self._everything()
        self._offsets, self._groups = dict(everything.offsets), dict(everything.groups)
        self._upto, self._applied = everything.upto, 0
        if not await self._apply_rows():
            self._applied = None

    async def _apply_rows(self) -> bool:
        """Whether all that is held back was applied. In pieces: one that ends early is only replayed longer."""
        upto = min(self._upto, self._stable_upto())
        while self._offsets or self._groups or (self._applied or 0) < upto:
            since = self._applied or 0
            offsets = dict(islice(self._offsets.items(), ROWS_PER_CALL))
            groups = dict(islice(self._groups.items(), ROWS_PER_CALL - len(offsets)))
            last = len(offsets) == len(self._offsets) and len(groups) == len(self._groups)
            piece_upto = upto if last else since + 1
            if piece_upto <= since or piece_upto > upto:
                return False
            await self._send(OffsetChanges(piece_upto, offsets, groups, since=since))
        return True

    async def _send(self, changes: OffsetChanges) -> None:
        try:
            await self._view.apply_offsets(self._lease, changes)
        except CauceError as error:
            # Refused as not following on, or perhaps applied: a repetition of other content would not be looked at.
            self._applied = None
            self._wake.set()
            if isinstance(error, Corrupt):
                raise Unavailable(error.message) from error
            raise
        self._applied = changes.upto
        _forget_sent(self._offsets, changes.offsets)
        _forget_sent(self._groups, changes.groups)


def _forget_sent(held: dict[Key, Value], sent: Mapping[Key, Value]) -> None:
    """What changed again meanwhile stays."""
    for key, value in sent.items():
        if held.get(key) == value:
            held.pop(key, None)
