"""What a node is in its cluster: what a role needs to be able to do, and the one that all share, to keep a session."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from infra.clock import Clock
from infra.cluster.registrar import Registrar
from infra.cluster.session import NodeDescription
from infra.cluster.session_keeper import SessionKeeper
from infra.errors import CauceError
from infra.store.port import ObjectStore
from infra.view.port import View
from infra.wire.handler import Registry


class Role(Protocol):
    """Started once everything below it stands, stopped while clients are still answered."""

    @property
    def node_id(self) -> int:
        """Kafka's broker id of this node. Needs it to be started."""

    async def start(self) -> None:
        """Open a session and begin. Raises `BadStart` and `Unavailable`."""

    def handlers(self) -> Registry:
        """What clients may ask. Needs it to be started."""

    async def run(self) -> None:
        """Look after things until cancelled; a failure ends the node."""

    async def settle(self) -> None:
        """Wait until the node does what it should, or long enough."""

    async def stop(self) -> None:
        """Hand over and leave."""

    def problem(self) -> str | None:
        """Why the node cannot do its work now, None when it can."""

    def refresh(self) -> None:
        """Bring the gauges up to date."""


def session_keeper(
    store: ObjectStore,
    view: View,
    clock: Clock,
    description: NodeDescription,
    node_id: int | None,
    fail: Callable[[BaseException], None],
) -> SessionKeeper:
    """Keeps the sessions of a node; `fail` is told when none can be had any more."""
    registrar = Registrar(store, view, clock, description, node_id=node_id)
    return SessionKeeper(registrar, on_fatal=lambda error: fail(error))


class Membership:
    """The role of a node that serves no client: it is a member, so that others see it, and nothing more."""

    def __init__(self, sessions: SessionKeeper) -> None:
        self._sessions = sessions

    @property
    def node_id(self) -> int:
        """As `Role.node_id`."""
        return self._sessions.session.session.node_id

    async def start(self) -> None:
        """Open a session. Raises `BadStart` and `Unavailable`."""
        await self._sessions.start()

    def handlers(self) -> Registry:
        """None."""
        return Registry()

    async def run(self) -> None:
        """There is nothing to look after."""
        await asyncio.Event().wait()

    async def settle(self) -> None:
        """There is nothing to wait for."""

    async def stop(self) -> None:
        """Leave."""
        await self._sessions.stop()

    def problem(self) -> str | None:
        """That the session cannot be renewed."""
        try:
            self._sessions.session.check_ttl()
        except CauceError as error:
            return error.message
        return None

    def refresh(self) -> None:
        """There are no gauges."""
