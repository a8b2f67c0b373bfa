"""When a node must not claim although nobody seems to lead: for one TTL after a new incarnation of the view, and after
each start and failover of Redis.

A view that was lost knows of no session, and one that has gone back knows old renewals only, so living leaders would be
fenced. There is no need to wait when the bucket says that no other session of an ingest node can be alive that the view
knows nothing of: on one machine, mostly.
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
        self._asked: object = None  # for which session and source
        self._may_live: frozenset[SessionId] = frozenset()  # sessions that no fence had ended

    async def may_claim(self, own: Session) -> bool:
        """Whether to claim now. Raises `Unavailable`.

        Asks the bucket once for a session and a source, and then for the fences of those that the view lacks: one
        that has left since keeps nobody waiting.
        """
        if self._state.source_age_seconds >= own.ttl_seconds:
            return True
        asked = (own.session, self._state.source)
        if asked != self._asked:
            self._may_live = await self._unended(own)
            self._asked = asked
        missing = self._may_live - {node.session for node in self._state.nodes()}
        ended = {session for session in missing if await fence_exists(self._store, session)}
        self._may_live -= ended
        return ended == missing

    async def _unended(self, own: Session) -> frozenset[SessionId]:
        last = await last_sessions(self._store)
        others = [session for session, ended in last.items() if not ended and session != own.session]
        return frozenset([one for one in others if await self._ingests(one)])

    async def _ingests(self, session: SessionId) -> bool:
        return "ingest" in (await read_session(self._store, session)).roles
