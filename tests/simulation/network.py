"""What lies between the processes: messages that take time, get lost, or arrive though nobody waits any more.

A request and its answer are two messages. The one that asks may die, or lose patience, between them: what it asked for
then happens all the same. Nothing here knows what is asked.
"""

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
    """All that happened, in its order: a digest of it, and its lines for people."""

    def __init__(self, loop: VirtualLoop, tell: Callable[[str], None] | None = None) -> None:
        self._loop = loop
        self._lines: list[str] = []
        self._tell = tell

    @property
    def events(self) -> int:
        """How many there were."""
        return len(self._lines)

    def note(self, line: str) -> None:
        """One event."""
        text = f"{self._loop.time():.6f} {self._loop.steps} {line}"
        self._lines.append(text)
        if self._tell is not None:
            self._tell(text)

    def digest(self) -> str:
        """Of everything so far."""
        return blake2b("".join(self._lines).encode(), digest_size=12).hexdigest()


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

    def spring(self, asker: str, to: str, what: str, *, after: bool) -> None:
        """Whatever waits for this message."""
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
        weather, draw = self.weather_of(to), self._random.random
        there = self.delay(to) + lag
        if weather.late and draw() < weather.late:
            there += self._random.uniform(0, weather.late_seconds)
            self.count(f"{to}: late")
        request = _Request(self, self._loop, to, what, effect, seconds)
        request.lost_before = weather.lost_before > 0 and draw() < weather.lost_before
        request.lost_after = weather.lost_after > 0 and draw() < weather.lost_after
        request.refused = weather.refused > 0 and draw() < weather.refused
        self._loop.call_later(there, request.arrive, context=self._loop.world.context)
        if there > seconds:
            request.without_answer()
        try:
            return await request.answer  # type: ignore[no-any-return]
        finally:
            request.forget()

    def delay(self, name: str) -> float:
        """How long a message to or from it takes this time: mostly less than the average, at times far more."""
        return -log(1.0 - self._random.random()) * self.weather_of(name).latency_seconds

    def is_cut(self, one: str, other: str) -> bool:
        """Whether nothing passes between the two."""
        return bool(self._cuts) and frozenset((one, other)) in self._cuts


class _Request:
    """One request on its way, there and back. Its asker's patience needs a timer only when no answer is certain to come
    before it ends."""

    __slots__ = (
        "_asker",
        "_deadline",
        "_effect",
        "_loop",
        "_network",
        "_seconds",
        "_to",
        "_what",
        "answer",
        "lost_after",
        "lost_before",
        "refused",
    )

    def __init__(
        self, network: Network, loop: VirtualLoop, to: str, what: str, effect: Callable[[], Any], seconds: float
    ) -> None:
        self.answer: Any = loop.create_future()
        self.lost_before = self.lost_after = self.refused = False
        self._network = network
        self._loop = loop
        self._asker = current_process().name
        self._to = to
        self._what = what
        self._effect = effect
        self._seconds = seconds
        self._deadline = loop.time() + seconds

    def forget(self) -> None:
        """Nobody waits any more. An answer that failed would hold itself, by the frames of its traceback."""
        self.answer = None

    def without_answer(self) -> None:
        """The asker may have to give up by itself."""
        self._loop.call_at(self._deadline, self._give_up, context=self._loop.world.context)

    def _give_up(self) -> None:
        if self._is_open():
            self.answer.set_exception(Unavailable(f"{self._to} did not answer {self._what} in {self._seconds:g} s"))

    def _is_open(self) -> bool:
        return self.answer is not None and not self.answer.done()

    def arrive(self) -> None:
        """It is there: have it happen."""
        network, asker, to, what = self._network, self._asker, self._to, self._what
        if self.lost_before or network.is_cut(asker, to):
            network.count(f"{to}: request lost")
            self.without_answer()
            return
        if self.refused or network.weather_of(to).down:
            network.count(f"{to}: refused")
            self._send(Unavailable(f"{to} is not there for {what}"), lost=False)
            return
        network.trace.note(f"{asker} → {to}: {what}")
        network.spring(asker, to, what, after=False)
        try:
            happened: Any = self._effect()
        except Exception as error:  # noqa: BLE001  it travels to the asker
            self._answered(error)
            return
        if isinstance(happened, CoroutineType):
            self.without_answer()
            self._loop.world.spawn(self._finish(happened))
        else:
            self._answered(happened)

    async def _finish(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            result = await work
        except Exception as error:  # noqa: BLE001  it travels to the asker
            self._answered(error)
        else:
            self._answered(result)

    def _answered(self, result: Any) -> None:
        self._send(result, lost=self.lost_after)
        self._network.spring(self._asker, self._to, self._what, after=True)

    def _send(self, result: Any, *, lost: bool) -> None:
        back = self._loop.time() + self._network.delay(self._to)
        if lost:
            self._network.count(f"{self._to}: answer lost")
        if lost or back > self._deadline:
            self.without_answer()
        if not lost:
            self._loop.call_at(back, self._come_back, result, context=self._loop.world.context)

    def _come_back(self, result: Any) -> None:
        if not self._is_open():
            return
        if self._network.is_cut(self._asker, self._to):
            self.without_answer()
        elif isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)
