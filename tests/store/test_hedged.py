"""Second requests for stragglers, in virtual time: when they are sent, how many, and whose answer counts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.errors import NotFound, Unavailable
from infra.store.hedged import HedgedStore
from infra.store.memory import MemoryObjectStore
from tests.coordinator.cluster import virtually

KEY = "a"
BODY = bytes(range(256)) * 16
USUAL = 0.1
SLOW = 0.12  # 4 of the first 64: the delay, then


@dataclass
class PacedStore(MemoryObjectStore):
    """Takes as long for each request as the test says, `USUAL` when it says nothing; an error may be the answer."""

    paces: list[float | Exception] = field(default_factory=list)
    failing_seconds: float = USUAL
    asked: int = 0
    given_up: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    async def get(self, key: str) -> bytes:
        await self._pace()
        return await super().get(key)

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        await self._pace()
        return await super().get_range(key, position, length)

    async def head(self, key: str) -> Any:
        await self._pace()
        return await super().head(key)

    async def _pace(self) -> None:
        self.asked += 1
        pace = self.paces.pop(0) if self.paces else USUAL
        try:
            await asyncio.sleep(self.failing_seconds if isinstance(pace, Exception) else pace)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if isinstance(pace, Exception):
            raise pace


async def made(times: Sequence[float] = (), count: int = 64) -> tuple[HedgedStore, PacedStore]:
    """A store that has seen `count` reads of `get_range`, paced as told."""
    inside = PacedStore()
    await inside.create(KEY, BODY)
    store = HedgedStore(inside)
    inside.paces = list(times) or [SLOW] * 4
    for _ in range(count):
        await store.get_range(KEY, 0, 1000)
    inside.asked = 0
    return store, inside


async def timed(store: HedgedStore, length: int = 1000) -> float:
    now = asyncio.get_running_loop().time
    begun = now()
    assert await store.get_range(KEY, 5, length) == BODY[5 : 5 + length]
    return now() - begun


def test_a_straggler_is_overtaken_and_given_up() -> None:
    async def body() -> None:
        store, inside = await made()
        inside.paces = [60.0, 0.03]
        assert await timed(store) == pytest.approx(SLOW + 0.03)
        await asyncio.sleep(0)
        assert (inside.asked, inside.given_up, store.hedges) == (2, 1, 1)

    virtually(body)


def test_the_first_may_still_win() -> None:
    async def body() -> None:
        store, inside = await made()
        inside.paces = [SLOW + 0.01, 60.0]
        assert await timed(store) == pytest.approx(SLOW + 0.01)
        await asyncio.sleep(0)
        assert (inside.asked, inside.given_up) == (2, 1)

    virtually(body)


def test_the_delay_is_what_19_of_20_requests_keep() -> None:
    async def body() -> None:
        paces = [0.5 if number % 20 == 0 else 0.2 if number % 2 else 0.1 for number in range(64)]
        store, inside = await made([*paces])
        inside.paces = [60.0, 0.01]
        assert 0.2 <= await timed(store) - 0.01 < 0.5

    virtually(body)


def test_quick_requests_are_left_20_ms() -> None:
    async def body() -> None:
        store, inside = await made([0.001] * 64)
        inside.paces = [0.019]
        await timed(store)
        assert inside.asked == 1
        inside.paces = [60.0, 0.001]
        assert await timed(store) == pytest.approx(0.021)

    virtually(body)


def test_nothing_is_sent_twice_before_enough_is_known_of_its_like() -> None:
    async def body() -> None:
        store, inside = await made(count=15)
        inside.paces = [60.0]
        assert await timed(store) == pytest.approx(60)
        store, inside = await made()
        inside.paces = [60.0, 60.0, 60.0]
        assert await timed(store, 4000) == pytest.approx(60)  # longer ones are not like these
        assert await store.get(KEY) == BODY
        assert await store.head(KEY) is not None
        assert inside.asked == 3

    virtually(body)


def test_at_most_5_percent_are_sent_twice() -> None:
    async def body() -> None:
        store, inside = await made(count=20)
        for number in range(400):
            inside.paces = [1.0 + number, 1.0 + number]  # slower and slower: each one is a straggler
            await timed(store)
        assert store.hedges == 21
        for _ in range(1000):
            inside.paces = [0.01]
            await timed(store)
        assert store.hedges == 21
        for number in range(10):
            inside.paces = [1000.0 + number, 1000.0 + number]
            await timed(store)
        assert store.hedges == 26  # what quiet times save up is bounded too

    virtually(body)


def test_an_error_before_the_delay_is_the_answer() -> None:
    async def body() -> None:
        store, inside = await made()
        inside.failing_seconds = 0.01
        inside.paces = [Unavailable("away")]
        with pytest.raises(Unavailable):
            await store.get_range(KEY, 0, 1000)
        assert inside.asked == 1
        with pytest.raises(NotFound):
            await store.get_range("b", 0, 1000)

    virtually(body)


@pytest.mark.parametrize("first_fails", [True, False])
def test_a_store_that_answers_one_of_both_has_answered(first_fails: bool) -> None:
    async def body() -> None:
        store, inside = await made()
        inside.failing_seconds = 0.5
        inside.paces = [Unavailable("away"), 2.0] if first_fails else [2.0, Unavailable("away")]
        assert await timed(store) == pytest.approx(2.0 + (SLOW if first_fails else 0))
        inside.paces = [Unavailable("first"), Unavailable("second")]
        with pytest.raises(Unavailable, match="first"):
            await timed(store)
        assert store.hedges == 2

    virtually(body)


def test_that_an_object_is_missing_is_an_answer() -> None:
    async def body() -> None:
        store, inside = await made()
        inside.failing_seconds = 0.1
        inside.paces = [60.0, NotFound("b")]
        with pytest.raises(NotFound):
            await store.get_range("b", 0, 1000)

    virtually(body)


def test_whoever_gives_up_gives_up_both() -> None:
    async def body() -> None:
        store, inside = await made()
        inside.paces = [60.0, 60.0]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.get_range(KEY, 0, 1000), 1.0)
        await asyncio.sleep(0)
        assert (inside.asked, inside.given_up) == (2, 2)

    virtually(body)


def test_all_else_goes_to_the_store_inside_once() -> None:
    async def body() -> None:
        inside = PacedStore()
        store = HedgedStore(inside)
        await store.create("b/c", b"new")
        assert [info.key async for info in store.list("b/")] == ["b/c"]
        await store.delete(["b/c"])
        assert await store.head("b/c") is None
        await store.close()

    virtually(body)
