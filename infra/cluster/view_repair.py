"""Tells the view what it does not know of topics and settings: a view that goes back does so unnoticed, and a command
that writes to the bucket alone (an undelete) tells no view.
"""

from infra.clock import Clock
from infra.cluster.settings import repair_settings
from infra.cluster.topics import TopicLedger
from infra.store.port import ObjectStore
from infra.view.port import View

REPAIR_SECONDS = 60.0  # between two looks without a reason: two listings each


class ViewRepair:
    """One a node; one node of a cluster at a time need look without a reason."""

    def __init__(
        self,
        store: ObjectStore,
        view: View,
        clock: Clock,
        topics: TopicLedger,
        every_seconds: float = REPAIR_SECONDS,
    ) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._topics = topics
        self._every_seconds = every_seconds
        self._next_at = clock.monotonic() + every_seconds

    async def look(self, *, now: bool) -> None:
        """Look when it is time, or `now` because something is known to be missing. Raises `Unavailable`."""
        if now or self._clock.monotonic() >= self._next_at:
            self._next_at = self._clock.monotonic() + self._every_seconds
            await self._topics.repair_view()
            await repair_settings(self._store, self._view)
