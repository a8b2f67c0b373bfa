"""When a node must not claim although nobody seems to lead: for one TTL after a new incarnation of the view.

A view that was lost knows of no session, so living leaders would be fenced. There is no need to wait when the bucket
says that no other session of an ingest node can be alive that the view knows nothing of: on one machine, mostly.
"""

from infra.cluster.lease_objects import fence_exists
from infra.cluster.registrar import last_sessions, read_session
from infra.cluster.session import Session
from infra.cluster.state import ClusterState
from infra.partition import SessionId
from infra.store.port import ObjectStore


class ClaimPatience:
    """One a node."""

    def __init__(self, store: ObjectStore, state: ClusterState) -> None:
        self._store = store
        self._state = state
        self._may_live: frozenset[SessionId] | None = None  # sessions that no fence has ended; None: not asked yet

    def ask_again(self) -> None:
        """The view or our session is a new one."""
        self._may_live = None

    async def may_claim(self, own: Session) -> bool:
        """Whether to claim now. Raises `Unavailable`.

        Asks the bucket once for a session and an incarnation, and then for the fences of those that the view lacks: one
        that has left since keeps nobody waiting.
        """
        if self._state.incarnation_age_seconds >= own.ttl_seconds:
            return True
        may_live = self._may_live
        if may_live is None:
            may_live = self._may_live = await self._unended(own)
        missing = may_live - {node.session for node in self._state.nodes()}
        ended = {session for session in missing if await fence_exists(self._store, session)}
        if ended and self._may_live is may_live:
            self._may_live = may_live - ended
        return ended == missing

    async def _unended(self, own: Session) -> frozenset[SessionId]:
        last = await last_sessions(self._store)
        others = [session for session, ended in last.items() if not ended and session != own.session]
        return frozenset([one for one in others if await self._ingests(one)])

    async def _ingests(self, session: SessionId) -> bool:
        return "ingest" in (await read_session(self._store, session)).roles
