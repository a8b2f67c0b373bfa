"""Keeps a node registered: opens a session, renews it, and opens the next one when it is over."""

import asyncio
import logging
from collections.abc import Callable

from infra.cluster.registrar import Registrar
from infra.cluster.session import Session
from infra.errors import BadStart, CauceError

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5


class SessionKeeper:
    """Sessions of one node, one at a time. `on_fatal` is told when no other can be opened: stop the node then."""

    def __init__(self, registrar: Registrar, *, on_fatal: Callable[[BadStart], None]) -> None:
        self._registrar = registrar
        self._on_fatal = on_fatal
        self._session: Session | None = None
        self._on_open: list[Callable[[Session], None]] = []
        self._on_lost: list[Callable[[Session], None]] = []
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def session(self) -> Session:
        """The newest one; it may be over. Needs one to have been opened."""
        assert self._session is not None
        return self._session

    def on_open(self, callback: Callable[[Session], None]) -> None:
        """Call `callback` with each session that is opened from now on. It must not block."""
        self._on_open.append(callback)

    def on_lost(self, callback: Callable[[Session], None]) -> None:
        """Call `callback` with each session that is over, before the next is opened. It must not block."""
        self._on_lost.append(callback)

    async def start(self) -> Session:
        """Open the first session and keep one open from now on. Raises `BadStart`, `Unavailable`."""
        session = await self.open()
        self._task = asyncio.create_task(self._run(), name="session")
        return session

    async def open(self) -> Session:
        """Open the next session, once. Raises `BadStart`, `Fenced`, `Unavailable`."""
        session = await self._registrar.open()
        self._over.clear()
        self._session = session
        for callback in self._on_open:
            callback(session)
        session.on_lost(lambda: self._lost(session))
        return session

    async def stop(self) -> None:
        """Leave: after everything was released. Nobody is told of it as of a loss."""
        self._on_lost.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _lost(self, session: Session) -> None:
        self._over.set()
        for callback in self._on_lost:
            callback(session)

    async def _run(self) -> None:
        while True:
            renewing = asyncio.create_task(self.session.run(), name=f"renewals of {self.session.session}")
            try:
                await self._over.wait()
            finally:
                renewing.cancel()
            if not await self._reopen():
                return

    async def _reopen(self) -> bool:
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                await self.open()
            except BadStart as error:
                log.error("this node cannot register again: %s", error)
                self._on_fatal(error)
                return False
            except CauceError as error:
                log.warning("this node cannot register now: %s", error)
            else:
                return True
