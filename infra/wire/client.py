"""A small Kafka client for admin calls and calls between nodes: any request, to any node, pipelined.

It finds the node to ask (any, the controller, a coordinator, a leader) and agrees on versions; it makes no batches
and keeps no consumer state. Trouble with the network is `Unavailable`. Kafka's error codes stay in the answers, but
one that says "ask another" at the top of an answer is followed to the right node until the time-out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.limits import WireLimits
from infra.security.client_security import ClientSecurity
from infra.wire.buffer_pool import BufferPool
from infra.wire.client_connection import Address, ClientConnection, ClientOptions, open_connection
from infra.wire.messages.find_coordinator import FindCoordinatorRequest
from infra.wire.messages.metadata import MetadataRequest, MetadataRequestTopic

GROUP = 0  # key types of FindCoordinator
TRANSACTION = 1

_CLIENT_POOL_BYTES = 64 * 1024 * 1024
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_ASK_ANOTHER = frozenset(
    (
        ErrorCode.NOT_CONTROLLER,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    )
)


class Node(NamedTuple):
    """A node as Metadata names it."""

    node_id: int
    host: str
    port: int


class Client:
    """Connections are made when first needed, one per address, and made again after they broke.

    `bootstrap`: "host:port,host:port" or addresses. All calls raise `Unavailable` when the network or the node does
    not answer within `timeout_seconds`; what the node did is then unknown.
    """

    def __init__(
        self,
        bootstrap: str | Sequence[tuple[str, int]],
        client_id: str = "cauce",
        *,
        timeout_seconds: float = 30.0,
        security: ClientSecurity | None = None,
    ) -> None:
        self._bootstrap = parse_addresses(bootstrap) if isinstance(bootstrap, str) else [Address(*a) for a in bootstrap]
        self._options = ClientOptions(
            client_id=client_id,
            timeout_seconds=timeout_seconds,
            max_frame_bytes=WireLimits().max_frame_bytes,
            security=security,
        )
        self._pool = BufferPool(_CLIENT_POOL_BYTES)
        self._connections: dict[Address, asyncio.Task[ClientConnection]] = {}
        self._nodes: dict[int, Node] = {}
        self._controller: Node | None = None
        self._coordinators: dict[tuple[int, str], Node] = {}
        self._leaders: dict[tuple[str, int], Node] = {}

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; calls under way raise `Unavailable`."""
        tasks = list(self._connections.values())
        self._connections.clear()
        for task in tasks:
            task.cancel()
            task.add_done_callback(_close_opened)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def call(
        self, node: Node | None, request: Any, *, version: int | None = None, timeout_seconds: float | None = None
    ) -> Any:
        """Ask this node, or any that can be reached when None; answers the response message.

        The version is the highest both sides know unless given. Raises `Unavailable`, `UnsupportedVersion`.
        """
        seconds = self._options.timeout_seconds if timeout_seconds is None else timeout_seconds
        where = "any node" if node is None else f"{node.host}:{node.port}"
        try:
            async with asyncio.timeout(seconds):
                connection = await (self._any() if node is None else self._connection(Address(node.host, node.port)))
                return await connection.call(request, version)
        except TimeoutError as error:
            raise Unavailable(f"{where} did not answer {type(request).__name__} in {seconds:g} s") from error

    async def metadata(self, topics: Sequence[str] | None = None, *, node: Node | None = None) -> Any:
        """The MetadataResponse for these topics, all when None; creates none. Leaders are remembered from it."""
        wanted = None if topics is None else [MetadataRequestTopic(name=name) for name in topics]
        request = MetadataRequest(topics=wanted, allow_auto_topic_creation=False)
        response = await self.call(node, request)
        self._nodes = {b.node_id: Node(b.node_id, b.host, b.port) for b in response.brokers}
        self._controller = self._nodes.get(response.controller_id)
        for topic in response.topics:
            for partition in topic.partitions:
                place = (topic.name or "", partition.partition_index)
                leader = self._nodes.get(partition.leader_id)
                if leader is None or partition.error_code == ErrorCode.LEADER_NOT_AVAILABLE:
                    self._leaders.pop(place, None)
                else:
                    self._leaders[place] = leader
        return response

    async def nodes(self) -> list[Node]:
        """The live nodes, asked anew."""
        await self.metadata([])
        return list(self._nodes.values())

    async def leader(self, topic: str, partition: int) -> Node:
        """The leader of a partition, from memory when known. Raises `Unavailable` when there is none."""
        place = (topic, partition)
        if place not in self._leaders:
            await self.metadata([topic])
        if place not in self._leaders:
            raise Unavailable(f"{topic}-{partition} has no leader now")
        return self._leaders[place]

    def forget_leaders(self, topic: str) -> None:
        """A node said NOT_LEADER_OR_FOLLOWER or does not answer: ask for the leaders of this topic again."""
        for place in [place for place in self._leaders if place[0] == topic]:
            del self._leaders[place]

    async def to_leader(self, topic: str, partition: int, request: Any, **options: Any) -> Any:
        """`call` the leader of a partition; when it does not answer, the next call looks for it anew."""
        node = await self.leader(topic, partition)
        try:
            return await self.call(node, request, **options)
        except Unavailable:
            self.forget_leaders(topic)
            raise

    async def to_controller(self, request: Any) -> Any:
        """`call` the controller."""

        async def find() -> Node:
            if self._controller is None:
                await self.metadata([])
            if self._controller is None:
                raise Unavailable("the cluster has no controller now")
            return self._controller

        def forget() -> None:
            self._controller = None

        return await self._follow(find, forget, request)

    async def to_coordinator(self, key: str, request: Any, key_type: int = GROUP) -> Any:
        """`call` the coordinator of a group, or with `TRANSACTION` of a transactional id."""

        async def find() -> Node:
            if (key_type, key) not in self._coordinators:
                self._coordinators[key_type, key] = await self._find_coordinator(key, key_type)
            return self._coordinators[key_type, key]

        def forget() -> None:
            self._coordinators.pop((key_type, key), None)

        return await self._follow(find, forget, request)

    async def _follow(self, find: Callable[[], Awaitable[Node]], forget: Callable[[], None], request: Any) -> Any:
        pause = _FIRST_PAUSE_SECONDS
        try:
            async with asyncio.timeout(self._options.timeout_seconds):
                while True:
                    response = await self.call(await find(), request)
                    if getattr(response, "error_code", 0) not in _ASK_ANOTHER:
                        return response
                    forget()
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        except TimeoutError as error:
            forget()
            raise Unavailable(f"no node would answer {type(request).__name__}") from error
        except Unavailable:
            forget()
            raise

    async def _find_coordinator(self, key: str, key_type: int) -> Node:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            request = FindCoordinatorRequest(key=key, key_type=key_type, coordinator_keys=[key])
            response = await self.call(None, request)
            found = response.coordinators[0] if response.coordinators else response
            if found.error_code == ErrorCode.NONE:
                return Node(found.node_id, found.host, found.port)
            if found.error_code not in _ASK_ANOTHER:
                raise Unavailable(f"the coordinator of {key} cannot be found: error {found.error_code}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _any(self) -> ClientConnection:
        known = [Address(node.host, node.port) for node in self._nodes.values()]
        trouble: Unavailable | None = None
        for address in dict.fromkeys([*self._bootstrap, *known]):
            try:
                return await self._connection(address)
            except Unavailable as error:
                trouble = error
        raise trouble or Unavailable("no node is known")

    async def _connection(self, address: Address) -> ClientConnection:
        """The connection to an address; who comes while it is being made waits for the same one."""
        task = self._connections.get(address)
        if task is None or (task.done() and _is_broken(task)):
            task = asyncio.create_task(open_connection(address, self._options, self._pool))
            task.add_done_callback(_is_broken)  # looks at its exception, also when nobody waits for it any longer
            self._connections[address] = task
        return await asyncio.shield(task)


def parse_addresses(text: str) -> list[Address]:
    """ "host:port,host:port" as addresses; IPv6 hosts stand in brackets. Raises ValueError."""
    addresses = []
    for part in text.split(","):
        host, colon, port = part.strip().rpartition(":")
        if not colon or not host or not port.isdecimal():
            raise ValueError(f"{part.strip()!r} is not host:port")
        addresses.append(Address(host.strip("[]"), int(port)))
    return addresses


def _is_broken(task: asyncio.Task[ClientConnection]) -> bool:
    return task.cancelled() or task.exception() is not None or task.result().closed


def _close_opened(task: asyncio.Task[ClientConnection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
