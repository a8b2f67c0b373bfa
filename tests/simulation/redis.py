"""Each node's way to the view: every call is a request over the faulty network, sent once.

What is asked is `MemoryView`'s business. Hints come by another connection, which is cut when the view is away.
"""

import copy
from collections.abc import Callable, Coroutine
from typing import Any

from infra.errors import Unavailable
from infra.view.memory import MemoryView
from infra.view.memory_server import MemoryServer
from tests.simulation.network import Network, at_once

REDIS = "redis"
_ANSWER_SECONDS = 2.0
_CALLS = [
    "incarnation",
    "begin_rebuild",
    "keep_rebuild",
    "wipe",
    "install",
    "register",
    "renew",
    "drop_session",
    "members",
    "set_leader",
    "clear_leader",
    "leaders",
    "put_topic",
    "remove_topic",
    "topics",
    "put_setting",
    "settings",
    "publish",
    "partition",
    "put_partition",
    "trim_partition",
    "put_manifest",
    "manifests",
    "take_work",
    "give_work",
    "apply_offsets",
    "reset_offsets",
    "load_offsets",
]


class ViewClient:
    """Implements `View` for one node."""

    def __init__(self, server: MemoryServer, network: Network) -> None:
        self.server = server
        self._network = network
        self._view = MemoryView(server)

    def sibling(self) -> "ViewClient":
        """Another connection."""
        return ViewClient(self.server, self._network)

    async def use(self, incarnation: str) -> None:
        """As `View.use`."""
        await self._view.use(incarnation)

    async def wait_hint(self, timeout: float) -> bool:
        """As `MemoryView.wait_hint`; raises `Unavailable` while the view is away."""
        if self._network.weather_of(REDIS).down:
            raise Unavailable("the view does not answer")
        return await self._view.wait_hint(timeout)

    async def close(self) -> None:
        """As `View.close`."""
        await self._view.close()


def _call(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def call(self: ViewClient, *arguments: Any) -> Any:
        token = (
            self._view._token
        )  # what a call carries is decided when it is sent, what it learns comes with the answer

        def happen() -> tuple[Any, str]:
            now, self._view._token = self._view._token, token
            try:
                return copy.copy(at_once(getattr(self._view, name)(*arguments))), self._view._token
            finally:
                self._view._token = now

        answer, learnt = await self._network.ask(REDIS, name, happen, _ANSWER_SECONDS)
        if learnt != token:
            self._view._token = learnt
        return answer

    return call


for _name in _CALLS:
    setattr(ViewClient, _name, _call(_name))
