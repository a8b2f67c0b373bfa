"""Tells the view who leads, and tells it again when it has forgotten."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from infra.all_of import all_of
from infra.cluster.state import ClusterState
from infra.errors import Unavailable
from infra.partition import Lease
from infra.ports import SessionGuard
from infra.view.port import PublishedPartition, View

_log = logging.getLogger(__name__)

_CALLS_AT_ONCE = 64

Answer = TypeVar("Answer")


class LedLog(Protocol):
    """A led partition, as far as its lease goes."""

    @property
    def lease(self) -> Lease: ...
    def published(self) -> PublishedPartition: ...


class LeaseTeller:
    """One a node. `superseded` is called with a lease that somebody else has taken from us."""

    def __init__(self, view: View, state: ClusterState, superseded: Callable[[Lease], None]) -> None:
        self._view = view
        self._state = state
        self._superseded = superseded
        self._gate = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._incarnation: str | None = None

    async def led(self, leases: Sequence[Lease]) -> None:
        """Leases were taken. What the view does not hear now is told by a later `again`."""
        await all_of([self._tell(lease) for lease in leases])

    async def over(self, leases: Sequence[Lease]) -> None:
        """Leases are over. What the view does not hear now shows as stale in a later plan."""

        async def clear(lease: Lease) -> None:
            with contextlib.suppress(Unavailable):
                await self._gated(self._view.clear_leader(lease))

        await all_of([clear(lease) for lease in leases])

    async def again(self, logs: Sequence[LedLog], guard: SessionGuard) -> None:
        """Tell what the view does not know of these logs.

        A new incarnation was rebuilt from the bucket, and may lack what was published while that was read.
        Raises `Unavailable`; `Fenced` when the session must not speak.
        """
        if self._incarnation is not None and self._state.incarnation != self._incarnation and logs:
            guard.check_ttl()
            await all_of([self._tell_published(log) for log in logs])
        self._incarnation = self._state.incarnation
        await self.led([log.lease for log in logs if self._state.last_leader(log.lease.partition) != log.lease])

    async def _tell_published(self, log: LedLog) -> None:
        """As it stands when its turn has come: publishes go on meanwhile, and must not be taken back."""
        async with self._gate:
            await self._view.put_partition(log.lease.partition, log.published())

    async def _tell(self, lease: Lease) -> None:
        try:
            known = await self._gated(self._view.set_leader(lease))
        except Unavailable:
            return
        if not known:
            _log.warning("%s: the view knows a later leader epoch than %d", lease.partition, lease.leader_epoch)
            self._superseded(lease)

    async def _gated(self, call: Awaitable[Answer]) -> Answer:
        async with self._gate:
            return await call
