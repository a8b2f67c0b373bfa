"""The role of a reader node: it leads nothing, and serves what others lead.

It leaves before it stops to follow: leaders and Metadata name it no more by the time its consumers are told
NOT_LEADER_OR_FOLLOWER, so they go back to the leaders and stay there.
"""

from cauce.handlers import reader_registry
from cauce.reader_parts import ReaderParts
from cauce.role import Membership
from infra.cluster.session_keeper import SessionKeeper
from infra.wire.handler import Registry


class Following(Membership):
    """One a node."""

    def __init__(self, parts: ReaderParts, sessions: SessionKeeper) -> None:
        super().__init__(sessions)
        self._parts = parts
        sessions.on_open(parts.shared.session.begin)

    async def start(self) -> None:
        """Open a session, and know the cluster. Raises `BadStart` and `Unavailable`."""
        await super().start()
        await self._parts.shared.state.refresh()

    def handlers(self) -> Registry:
        """Reading and administration."""
        return reader_registry(self._parts)

    async def run(self) -> None:
        """Look after what is followed."""
        await self._parts.followers.run()

    async def stop(self) -> None:
        """Leave, then follow no more."""
        await super().stop()
        await self._parts.followers.close()

    def refresh(self) -> None:
        """Bring the gauges up to date."""
        self._parts.shared.metrics.followed_partitions.set(len(self._parts.followers))
