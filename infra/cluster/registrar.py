"""Opening sessions: which node id and node epoch a node registers with, by the ledgers and fences in the bucket."""

import asyncio

from infra.all_of import all_of
from infra.clock import Clock
from infra.cluster.lease_objects import create_fence
from infra.cluster.records import SessionRecord
from infra.cluster.session import NodeDescription, Session
from infra.errors import BadStart, Exists, Fenced
from infra.object_key import (
    FENCES,
    LAST_NUMBER,
    SESSIONS,
    BatchSegmentKey,
    FenceKey,
    ObjectKey,
    SessionKey,
    batches_of_node,
    fences_of_node,
    parse_key,
    session_ledger,
)
from infra.partition import SessionId
from infra.store.ledger import Ledger
from infra.store.port import ObjectStore
from infra.view.port import View

FIRST_NODE_ID = 1


async def last_sessions(store: ObjectStore) -> dict[SessionId, bool]:
    """The newest session of every node id that ever registered → whether it has been ended by a fence."""
    sessions, fences = await asyncio.gather(_keys(store, SESSIONS), _keys(store, FENCES))
    last: dict[int, SessionId] = {}
    for key in sessions:
        if isinstance(key, SessionKey):
            last[key.session.node_id] = key.session  # sorted: the newest comes last
    ended = {key.session for key in fences if isinstance(key, FenceKey)}
    return {session: session in ended for session in last.values()}


async def read_session(store: ObjectStore, session: SessionId) -> SessionRecord:
    """A session's record. Raises `NotFound`."""
    key = SessionKey(session).key
    return SessionRecord.decode(await store.get(key), key)


async def new_node_id(store: ObjectStore) -> int:
    """The lowest node id that nobody ever had.

    An id belongs to the data folder that had it first, however its last session ended: the node may come back, and two
    of one id would fence each other for ever.
    """
    taken = {key.session.node_id for key in await _keys(store, SESSIONS) if isinstance(key, SessionKey)}
    node_id = FIRST_NODE_ID
    while node_id in taken:
        node_id += 1
    return node_id


class Registrar:
    """Opens a node's sessions, one after the other; the node id of the first stays."""

    def __init__(
        self, store: ObjectStore, view: View, clock: Clock, node: NodeDescription, *, node_id: int | None = None
    ) -> None:
        """`node_id` None takes a new one at the first opening."""
        self._store = store
        self._view = view
        self._clock = clock
        self._node = node
        self._node_id = node_id
        self._writer = clock.token()
        self._trying: int | None = None  # the node id being registered
        self._record: SessionRecord | None = None  # being created; never sent in two versions
        self._entered: SessionId | None = None  # in the bucket, not yet in the view
        self._last: SessionId | None = None

    async def open(self) -> Session:
        """The next session: its record, a fence for the session of this node id before it, an entry in the view.

        Raises `Unavailable` (call again), `BadStart` when another process uses the node id.
        """
        session_id = self._entered or await self._enter()
        session = Session(self._store, self._view, self._clock, session_id, self._node)
        try:
            await session.register()
        except Fenced:
            self._last, self._entered = session_id, None
            raise
        self._last, self._entered = session_id, None
        return session

    async def _enter(self) -> SessionId:
        """Create the session's record; a newest record with our writer word is our own earlier try and counts."""
        node = self._node
        if self._record is None:
            now_ms = self._clock.now_ms()
            self._record = SessionRecord(dict(node.endpoints), node.rack, node.roles, self._writer, now_ms)
        session_id = await self._append(self._record)
        if session_id.node_epoch > 0:
            before = SessionId(session_id.node_id, session_id.node_epoch - 1)
            await create_fence(self._store, before, by=session_id)
        self._node_id, self._record, self._entered = session_id.node_id, None, session_id
        return session_id

    async def _append(self, record: SessionRecord) -> SessionId:
        while True:
            if self._trying is None:
                self._trying = self._node_id
            if self._trying is None:
                self._trying = await new_node_id(self._store)
            ledger = Ledger(self._store, session_ledger(self._trying))
            last = await ledger.last()
            if last is not None and SessionId(self._trying, last.number) != self._last:
                if SessionRecord.decode(last.body, f"{ledger}/{last.number}").writer == self._writer:
                    return SessionId(self._trying, last.number)
                if self._node_id is None:
                    self._trying = None  # another node has just taken it
                    continue
                self._check_twin(SessionId(self._trying, last.number))
            number = await _unused_epoch(self._store, self._trying, 0 if last is None else last.number + 1)
            try:
                await ledger.append(number, record.encode())
            except Exists:
                self._trying = None
                continue
            return SessionId(self._trying, number)

    def _check_twin(self, newest: SessionId) -> None:
        if self._last is not None:
            raise BadStart(
                f"another process has registered node id {newest.node_id} (session {newest}): give each node an id and "
                "a data folder of its own"
            )


async def _unused_epoch(store: ObjectStore, node_id: int, least: int) -> int:
    """The first node epoch from `least` on above which nothing of that node lies in the bucket.

    A copy of a bucket may lack the record of a session whose segments it has: they must never be taken for another's.
    """
    before = SessionId(node_id, least - 1)
    batches, fences = batches_of_node(node_id), fences_of_node(node_id)
    listings = (
        _keys(store, batches, start_after=BatchSegmentKey(before, LAST_NUMBER).key if least else ""),
        _keys(store, fences, start_after=FenceKey(before).key if least else ""),
    )
    found = await all_of(listings)
    epochs = [key.session.node_epoch for keys in found for key in keys if isinstance(key, BatchSegmentKey | FenceKey)]
    return max([least, *(epoch + 1 for epoch in epochs)])


async def _keys(store: ObjectStore, prefix: str, start_after: str = "") -> list[ObjectKey]:
    return [parse_key(info.key) async for info in store.list(prefix, start_after=start_after)]
