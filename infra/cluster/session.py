"""A session: this node's registration, in the bucket for good and in the view for as long as it renews.

It ends once and for all when its fence is found, when the view let it lapse, or when its node id registers again; the
node then opens another. Whoever acknowledges asks `check_ttl` (no I/O) and, where the bucket's word is needed,
`look_for_fence`. Both speak for the one session they were made for, never for its successor.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infra.clock import Clock
from infra.cluster.lease_objects import create_fence, fence_exists
from infra.errors import CauceError, Fenced, Unavailable
from infra.partition import SessionId
from infra.store.port import ObjectStore
from infra.view.port import LiveSession, View

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDescription:
    """What a node says of itself in each of its sessions."""

    endpoints: Mapping[str, str]  # listener name → "host:port" as advertised
    rack: str | None = None
    roles: frozenset[str] = frozenset({"ingest", "reader", "compactor"})
    ttl_seconds: float = 6.0  # cauce.session.timeout.ms


class Session:
    """Implements `SessionGuard`. Made by a `Registrar`; `run` renews it."""

    def __init__(self, store: ObjectStore, view: View, clock: Clock, session: SessionId, node: NodeDescription) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._session = session
        self._node = node
        self._incarnation: str | None = None  # of the view that knows this session
        self._valid_until = float("-inf")  # monotonic seconds
        self._lost: str | None = None  # why it is over
        self._on_lost: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"Session({self._session}, {self._lost or 'open'})"

    @property
    def session(self) -> SessionId:
        """Which one."""
        return self._session

    @property
    def ttl_seconds(self) -> float:
        """How long it is valid after a renewal was sent."""
        return self._node.ttl_seconds

    @property
    def lost(self) -> bool:
        """True once it is over."""
        return self._lost is not None

    def check_ttl(self) -> None:
        """Raise `Fenced` when the session is over or was not renewed within its TTL. No I/O."""
        if self._lost is not None:
            raise Fenced(f"session {self._session} is over: {self._lost}")
        if self._clock.monotonic() >= self._valid_until:
            raise Fenced(f"session {self._session} could not be renewed for {self._node.ttl_seconds} s")

    async def look_for_fence(self) -> None:
        """Raise `Fenced` when the session's fence exists, `Unavailable` when the bucket does not say."""
        if self._lost is None and await fence_exists(self._store, self._session):
            self.end("its fence was found")
        if self._lost is not None:
            raise Fenced(f"session {self._session} is over: {self._lost}")

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the session is over; at once when it is already."""
        if self._lost is not None:
            callback()
        else:
            self._on_lost.append(callback)

    async def register(self) -> None:
        """Enter the view, also a new incarnation of it, and only then look for the fence. Raises as `renew` does."""
        sent_at = self._clock.monotonic()
        incarnation = await self._view.incarnation()
        live = LiveSession(self._session, self._node.endpoints, self._node.rack, self._node.roles)
        try:
            await self._view.register(live, self._ttl_ms)
        except Fenced:
            self.end("its node id has registered again")
            raise
        await self._look_briefly()
        self._incarnation = incarnation
        self._valid_until = sent_at + self._node.ttl_seconds

    async def renew(self) -> None:
        """Renew once and look for the fence. Raises `Fenced` when it is over, `Unavailable` when the view is away.

        A bucket that does not answer is no reason to stop: without it nobody can make a fence either.
        """
        sent_at = self._clock.monotonic()
        await self._look_briefly()
        if not await self._view.renew(self._session, self._ttl_ms):
            if await self._view.incarnation() == self._incarnation:
                self.end("the view let it lapse")
                raise Fenced(f"session {self._session} is over: {self._lost}")
            await self.register()
            return
        self._valid_until = max(self._valid_until, sent_at + self._node.ttl_seconds)

    async def run(self) -> None:
        """Renew at a third of the TTL until the session is over."""
        while self._lost is None:
            await asyncio.sleep(self._node.ttl_seconds / 3)
            try:
                await self.renew()
            except Fenced as fenced:
                log.warning("%s", fenced)
            except CauceError as error:
                log.warning("session %s cannot be renewed now: %s", self._session, error)
            except Exception:  # whatever it is, the next renewal may succeed
                log.exception("session %s cannot be renewed now", self._session)

    async def close(self) -> None:
        """Leave for good, after everything was released: the fence is the mark that the node id is free again."""
        self.end("it was closed")
        with contextlib.suppress(Unavailable):
            await create_fence(self._store, self._session, by=self._session)
        with contextlib.suppress(Unavailable):
            await self._view.drop_session(self._session)

    def end(self, reason: str) -> None:
        """It is over from now on, as far as this process goes. `close` tells the others."""
        if self._lost is not None:
            return
        self._lost = reason
        callbacks, self._on_lost = self._on_lost, []
        for callback in callbacks:
            callback()

    async def _look_briefly(self) -> None:
        """A bucket that is slow or silent must not cost the session."""
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(self._node.ttl_seconds / 6):
                await self.look_for_fence()

    @property
    def _ttl_ms(self) -> int:
        return round(self._node.ttl_seconds * 1000)
