"""How a node that leads asks another one: by node id, over the listener that nodes reach one another by."""

from collections.abc import Callable, Sequence
from typing import Any

from infra.errors import Unavailable
from infra.security.client_security import ClientSecurity
from infra.view.port import LiveSession
from infra.wire.client import Client, Node


class Peers:
    """Calls to other nodes, over one connection a node: an answer waits for those to what was asked before it."""

    def __init__(
        self,
        nodes: Callable[[], Sequence[LiveSession]],
        listener: str,
        *,
        timeout_seconds: float,
        security: ClientSecurity | None = None,
    ) -> None:
        """`listener`: its name; where a node has none of that name, its first is taken, unless a login or a
        certificate is to be shown: that is for nodes alone."""
        self._secured = security is not None
        self._nodes = nodes
        self._listener = listener
        self._client = Client([], client_id="cauce-node", timeout_seconds=timeout_seconds, security=security)

    async def close(self) -> None:
        """Close all connections; calls under way raise `Unavailable`."""
        await self._client.close()

    async def call(self, node_id: int, request: Any) -> Any:
        """The answer of a node. Raises `Unavailable`: whether it did what it was asked is then unknown."""
        node = next((node for node in self._nodes() if node.session.node_id == node_id), None)
        endpoint = None if node is None else node.endpoint(self._listener, or_any=not self._secured)
        if endpoint is None:
            raise Unavailable(f"node {node_id} is not there, or has no listener {self._listener}")
        host, _, port = endpoint.rpartition(":")
        return await self._client.call(Node(node_id, host.strip("[]"), int(port)), request)
