"""The connection of a memory view to its server: whether it answers, and under which incarnation this client calls."""

from infra.errors import Unavailable
from infra.view.memory_server import MemoryServer, MemoryState
from infra.view.port import ViewLost


class MemoryCalls:
    """Base of the memory view's parts: one server, one token (the incarnation that calls are made under)."""

    def __init__(self, server: MemoryServer | None = None) -> None:
        self.server = server or MemoryServer()
        self._token = ""

    def _reach(self) -> MemoryState:
        if self.server.down:
            raise Unavailable("the view does not answer")
        state = self.server.state
        if state.recovery is not None and state.recovery[1] <= self.server.clock.now_ms():
            state.recovery = None
        return state

    def _state(self) -> MemoryState:
        """The state, when this client carries its incarnation (or rebuilds it)."""
        state = self._reach()
        known = state.incarnation or (state.recovery and lock_token(state.recovery[0]))
        if not self._token or known != self._token:
            raise ViewLost(f"the view is empty or of another incarnation than {self._token or 'none'}")
        return state


def lock_token(owner: str) -> str:
    """What calls carry while their client rebuilds."""
    return f"rebuild:{owner}"
