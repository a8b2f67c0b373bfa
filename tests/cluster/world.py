"""A bucket, a view and a clock that stands still until it is told: what several nodes of one test share."""

from random import Random
from uuid import UUID

from infra.clock import Clock
from infra.cluster.registrar import Registrar
from infra.cluster.session import NodeDescription, Session
from infra.errors import Unavailable
from infra.store.memory import MemoryObjectStore
from infra.store.port import Buffer, ObjectInfo
from infra.view.memory import MemoryView
from infra.view.memory_server import MemoryServer


class FakeClock(Clock):
    """Stands still, and makes the same identifiers in every run."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._random = Random(1)

    def uuid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def now_ms(self) -> int:
        return round(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


class CountingStore(MemoryObjectStore):
    """Counts requests by kind, and can be made to answer nothing."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.counts: dict[str, int] = {}
        self.down = False
        self.lose_answers_of: set[str] = (
            set()
        )  # prefixes of keys whose creates land, though their answers get lost once

    def _count(self, kind: str) -> None:
        if self.down:
            raise Unavailable("the store does not answer")
        self.counts[kind] = self.counts.get(kind, 0) + 1

    async def create(self, key: str, body: Buffer | list[Buffer]) -> None:  # type: ignore[override]
        self._count("create")
        await super().create(key, body)
        for prefix in [prefix for prefix in self.lose_answers_of if key.startswith(prefix)]:
            self.lose_answers_of.discard(prefix)
            raise Unavailable("the answer was lost")

    def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self._keys if key.startswith(prefix)]

    async def get(self, key: str) -> bytes:
        self._count("get")
        return await super().get(key)

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        self._count("get")
        return await super().get_range(key, position, length)

    async def head(self, key: str) -> ObjectInfo | None:
        self._count("head")
        return await super().head(key)

    def list(self, prefix: str, *, start_after: str = ""):  # type: ignore[no-untyped-def]
        self._count("list")
        return super().list(prefix, start_after=start_after)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = CountingStore(self.clock)
        self.server = MemoryServer(self.clock)

    async def start(self) -> "World":
        await self.install("first")
        return self

    async def install(self, incarnation: str) -> None:
        view = MemoryView(self.server)
        assert await view.begin_rebuild("test", 1000)
        await view.install("test", incarnation)

    async def view(self) -> MemoryView:
        view = MemoryView(self.server)
        incarnation = await view.incarnation()
        assert incarnation is not None
        await view.use(incarnation)
        return view

    def description(self, port: int = 9092, roles: frozenset[str] = frozenset({"ingest"})) -> NodeDescription:
        return NodeDescription(endpoints={"PLAINTEXT": f"127.0.0.1:{port}"}, roles=roles)

    def registrar(self, view: MemoryView, node_id: int | None = None) -> Registrar:
        return Registrar(self.store, view, self.clock, self.description(), node_id=node_id)

    async def session(self, node_id: int | None = None) -> Session:
        return await self.registrar(await self.view(), node_id).open()
