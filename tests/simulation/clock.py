"""The clocks of a simulated cluster: monotonic time is the loop's, the wall clock of a node may be wrong."""

from random import Random
from uuid import UUID

from infra.clock import Clock
from tests.simulation.loop import VirtualLoop

_EPOCH_MS = 1_700_000_000_000


class VirtualClock(Clock):
    """Of one node, or of a server; `random` is where its identifiers come from."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self.skew_ms = 0
        self._loop = loop
        self._random = random

    def now_ms(self) -> int:
        return _EPOCH_MS + round(self._loop.time() * 1000) + self.skew_ms

    def monotonic(self) -> float:
        return 1000.0 + self._loop.time()

    def uuid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def token(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)
