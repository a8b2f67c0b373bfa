"""The node's session of the moment, for parts that outlive a session."""

from infra.errors import Fenced
from infra.partition import SessionId
from infra.ports import SessionGuard


class CurrentSession:
    """The node's session of the moment: a `SessionGuard` that goes on when the node registers anew."""

    def __init__(self) -> None:
        self._guard: SessionGuard | None = None

    def begin(self, guard: SessionGuard) -> None:
        """The node has a new session."""
        self._guard = guard

    @property
    def session(self) -> SessionId:
        """Raises `Fenced` before the first."""
        return self._current.session

    def check_ttl(self) -> None:
        """As `SessionGuard.check_ttl`."""
        self._current.check_ttl()

    async def look_for_fence(self) -> None:
        """As `SessionGuard.look_for_fence`."""
        await self._current.look_for_fence()

    @property
    def _current(self) -> SessionGuard:
        if self._guard is None:
            raise Fenced("this node has no session yet")
        return self._guard
