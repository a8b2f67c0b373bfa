"""What lies between the processes: messages that take time, get lost, or arrive though nobody waits any more.

A request and its answer are two messages. The one that asks may die, or lose patience, between them: what it asked for
then happens all the same. Nothing here knows what is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from hashlib import blake2b
from math import log
from random import Random
from types import CoroutineType
from typing import Any, TypeVar

from infra.errors import Unavailable
from tests.simulation.loop import VirtualLoop, current_process

Answer = TypeVar("Answer")


def at_once(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run what never waits."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]
    raise AssertionError(f"{work} waits")


@dataclass(slots=True)
class Weather:
    """How one service behaves for whoever asks it. All chances are of one request."""

    latency_seconds: float = 0.002  # each way, on average
    refused: float = 0.0  # it answers at once that it cannot, and nothing happened
    lost_before: float = 0.0  # the request never arrives
    lost_after: float = 0.0  # it happens, and the answer never arrives
    late: float = 0.0  # the request arrives long after
    late_seconds: float = 8.0  # how long at the most
    down: bool = False  # everything is refused


@dataclass(slots=True)
class Ambush:
    """Something that happens to one process in the very moment of one of its messages."""

    name: str  # of the process, as asker or as asked
    word: str  # what is asked contains it
    after: bool  # when the answer leaves, else when the request arrives
    passes: int  # so many messages are let pass before
    strike: Callable[[], None]


class Trace:
    """A digest of all that happened, in its order, and the newest lines for people."""

    def __init__(self, loop: VirtualLoop, tell: Callable[[str], None] | None = None) -> None:
        self._loop = loop
        self._digest = blake2b(digest_size=12)
        self._tell = tell
        self.events = 0

    def note(self, line: str) -> None:
        """One event."""
        self.events += 1
        text = f"{self._loop.time():.6f} {self._loop.steps} {line}"
        self._digest.update(text.encode())
        if self._tell is not None:
            self._tell(text)

    def digest(self) -> str:
        """Of everything so far."""
        return self._digest.hexdigest()


class Network:
    """Connects everybody: by the name of a process, or of a service."""

    def __init__(self, loop: VirtualLoop, random: Random, trace: Trace) -> None:
        self.weather: dict[str, Weather] = {}
        self.effects: dict[str, int] = {}  # kind of fault → how often it took effect
        self.trace = trace
        self._loop = loop
        self._random = random
        self._cuts: set[frozenset[str]] = set()
        self._ambushes: list[Ambush] = []

    def lie_in_wait(self, ambush: Ambush) -> None:
        """Until it has happened."""
        self._ambushes.append(ambush)

    def _spring(self, asker: str, to: str, what: str, *, after: bool) -> None:
        for ambush in self._ambushes:
            if ambush.after == after and ambush.name in (asker, to) and ambush.word in what:
                ambush.passes -= 1
                if ambush.passes < 0:
                    self._ambushes.remove(ambush)
                    self.trace.note(f"ambush at {what}")
                    ambush.strike()
                    return

    def cut(self, one: str, other: str) -> None:
        """Nothing passes between the two from now on."""
        self._cuts.add(frozenset((one, other)))

    def uncut(self, name: str) -> None:
        """All cuts of this one are mended."""
        self._cuts = {cut for cut in self._cuts if name not in cut}

    def mend(self) -> None:
        """No cuts, no ambushes, and fair weather everywhere."""
        self._ambushes.clear()
        self._cuts.clear()
        for name in self.weather:
            self.weather[name] = Weather()

    def count(self, kind: str) -> None:
        """A fault took effect."""
        self.effects[kind] = self.effects.get(kind, 0) + 1

    def weather_of(self, name: str) -> Weather:
        """Of a service, or of a node as a server."""
        found = self.weather.get(name)
        if found is None:
            found = self.weather[name] = Weather()
        return found

    async def ask(
        self, to: str, what: str, effect: Callable[[], Awaitable[Answer] | Answer], seconds: float, lag: float = 0.0
    ) -> Answer:
        """Have something happen elsewhere and wait for the answer.

        `effect` runs there, where the request arrives; what it answers or raises (a `CauceError`) comes back. When it
        is a coroutine it runs in the world. Raises `Unavailable` when no answer comes within so many seconds.
        """
        asker, loop, weather, draw = current_process(), self._loop, self.weather_of(to), self._random.random
        answer: asyncio.Future[Answer] = loop.create_future()
        there = self._delay(weather) + lag
        if weather.late and draw() < weather.late:
            there += self._random.uniform(0, weather.late_seconds)
            self.count(f"{to}: late")
        lost_before = weather.lost_before > 0 and draw() < weather.lost_before
        lost_after = weather.lost_after > 0 and draw() < weather.lost_after
        refused = weather.refused > 0 and draw() < weather.refused
        deadline, world = loop.time() + seconds, loop.world.context

        def give_up() -> None:
            if not answer.done():
                answer.set_exception(Unavailable(f"{to} did not answer {what} in {seconds:g} s"))

        def without_answer() -> None:
            """Its asker's patience needs a timer only when no answer is certain to come before."""
            loop.call_at(deadline, give_up, context=world)

        def arrive() -> None:
            if lost_before or self._is_cut(asker.name, to):
                self.count(f"{to}: request lost")
                without_answer()
                return
            if self.weather_of(to).down or refused:
                self.count(f"{to}: refused")
                send(Unavailable(f"{to} is not there for {what}"), lost=False)
                return
            self.trace.note(f"{asker.name} → {to}: {what}")
            self._spring(asker.name, to, what, after=False)
            try:
                happened: Any = effect()
            except Exception as error:  # noqa: BLE001  it travels to the asker
                happened = error
            if isinstance(happened, CoroutineType):
                without_answer()
                loop.world.spawn(finish(happened))
            else:
                answered(happened)

        async def finish(work: Coroutine[Any, Any, Answer]) -> None:
            try:
                result: Any = await work
            except Exception as error:  # noqa: BLE001  it travels to the asker
                result = error
            answered(result)

        def answered(result: Any) -> None:
            send(result, lost=lost_after)
            self._spring(asker.name, to, what, after=True)

        def send(result: Any, *, lost: bool) -> None:
            back = loop.time() + self._delay(self.weather_of(to))
            if lost:
                self.count(f"{to}: answer lost")
            if lost or back > deadline:
                without_answer()
            if not lost:
                loop.call_at(back, come_back, result, context=world)

        def come_back(result: Any) -> None:
            if answer.done():
                return
            if self._is_cut(asker.name, to):
                without_answer()
            elif isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        loop.call_later(there, arrive, context=world)
        if there > seconds:
            without_answer()
        return await answer

    def _delay(self, weather: Weather) -> float:
        return -log(1.0 - self._random.random()) * weather.latency_seconds

    def _is_cut(self, one: str, other: str) -> bool:
        return bool(self._cuts) and frozenset((one, other)) in self._cuts
