"""Makes batch segments visible in the view, and mends the view where it has forgotten something.

A segment is published only when it is in the bucket and no fence was found after that; whoever calls keeps the order.
"""

from collections.abc import Awaitable, Callable, Sequence

from infra.clock import Clock
from infra.errors import CauceError, Corrupt, Unavailable
from infra.partition import SessionId
from infra.segment.extent import FlushedExtent
from infra.view.port import View, ViewLost
from ingest.backoff import Backoff, until_available
from ingest.partition_log import PartitionLog

Repair = Callable[[], Awaitable[None]]
"""Answers when the view has an incarnation again and this client uses it; raises `Unavailable` when not yet."""


class Publisher:
    """Publishes for one node; `repair` is what to do about a view that was lost as a whole."""

    def __init__(self, view: View, clock: Clock, repair: Repair) -> None:
        self._view = view
        self._clock = clock
        self._repair = repair

    async def publish(
        self, session: SessionId, segment: str, flushed: Sequence[tuple[PartitionLog, FlushedExtent]]
    ) -> None:
        """Publish extents, repeated until the view has them; logs that closed meanwhile are left out.

        Raises `Fenced` when the view knows a later leader epoch.
        """
        backoff = Backoff(self._clock, f"the publish of {segment}")
        while True:
            open_ones = [(log, one) for log, one in flushed if not log.closed]
            if not open_ones:
                return
            try:
                await self._view.publish(session, segment, [one for _, one in open_ones])
            except (Unavailable, Corrupt) as error:
                await backoff.pause(error)
                await self._mend([log for log, _ in open_ones], error)
            else:
                backoff.over()
                return

    async def _mend(self, logs: Sequence[PartitionLog], error: CauceError) -> None:
        if isinstance(error, ViewLost):
            await until_available(self._clock, "the repair of the view", self._repair)
        elif isinstance(error, Corrupt):
            for log in logs:
                await self._tell_published(log)

    async def _tell_published(self, log: PartitionLog) -> None:
        """One try: a view that is lost again is found out by the next publish."""
        if log.closed:
            return
        try:
            await self._view.put_partition(log.partition, log.published())
        except Unavailable:
            return
