"""A reader's way through partitions, whatever client it reads with: it judges each record, gap and refusal."""

from collections.abc import Mapping, Sequence

from infra.clock import SYSTEM_CLOCK, Clock
from tests.soak.model import Gap, PartitionModel, Seen
from tests.soak.score import Score

SETTLE_SECONDS = 30.0  # for an acknowledgement to be heard of; a node that is killed is back by then

Models = Mapping[str, Sequence[PartitionModel]]
Place = tuple[str, int]


class Follower:
    """One reader's way through partitions: where it is, and what it saw on this pass."""

    def __init__(self, name: str, models: Models, score: Score, clock: Clock = SYSTEM_CLOCK) -> None:
        self._name = name
        self._models = models
        self._score = score
        self._clock = clock
        self._positions: dict[Place, int] = {}
        self._older: dict[Place, dict[bytes, int]] = {}
        self._began = 0.0

    def begin(self, positions: dict[Place, int], *, at_beginning: bool = False) -> None:
        """A new pass."""
        self._positions = dict(positions)
        self._older = {place: {} for place in positions} if at_beginning else {}
        self._began = self._clock.monotonic()

    @property
    def last_of_each(self) -> dict[Place, dict[bytes, int]]:
        """Of a pass that began at the beginning: the offset last seen of each key."""
        return self._older

    def model(self, place: Place) -> PartitionModel:
        """Of a partition."""
        return self._models[place[0]][place[1]]

    @property
    def positions(self) -> Mapping[Place, int]:
        """The next offsets that it expects."""
        return self._positions

    def take(self, place: Place, rows: Sequence[Seen]) -> None:
        """Records of one partition in the order they came."""
        model, older = self.model(place), self._older.get(place)
        for row in rows:
            expected = self._positions[place]
            if row.offset < expected:
                self._wrong(place, f"{self._name} expected offset {expected} and got {row.offset} again")
            elif row.offset > expected:
                self.skip(place, row.offset)
            self._positions[place] = row.offset + 1
            if older is not None and row.key is not None:
                older[row.key] = row.offset
        for sentence in model.check(rows):
            self._wrong(place, f"{self._name}: {sentence}")
        self._score.add(f"read {self._name}", len(rows))

    def skip(self, place: Place, end: int) -> None:
        """Nothing stands from its position up to `end`."""
        start = self._positions[place]
        if start >= end:
            return
        model = self.model(place)
        now = self._clock.monotonic()
        in_time = now - self._began < model.topic.delete_retention_ms / 1000
        older = dict(self._older.get(place, {})) if in_time else {}
        gap = Gap(self._name, start, end, older, now + SETTLE_SECONDS)
        for sentence in model.check_gap(gap, self._clock.now_ms()):
            self._wrong(place, sentence)
        self._score.add("gaps")
        self._positions[place] = end

    def raised(self, place: Place, low: int, before: int) -> None:
        """The log now begins at `low`."""
        sentence = self.model(place).check_low(low, before, self._clock.now_ms())
        if sentence is not None:
            self._wrong(place, f"{self._name}: {sentence}")

    def out_of_range(self, place: Place, refused: int, low: int, high: int, why: str) -> None:
        """An offset was refused: go on at the log start, when that is ahead.

        `refused` need not be its position: librdkafka may tell of a fetch that belongs to an earlier assignment.
        """
        if refused > high:
            self._wrong(place, f"{self._name}: offset {refused} was there, now the log ends at {high}: {why}")
        elif refused >= low or refused < 0:
            self._wrong(place, f"{self._name}: offset {refused} was refused, the log has {low} to {high}: {why}")
        self._positions[place] = max(self._positions[place], low)
        self._score.add("overtaken")

    def _wrong(self, place: Place, sentence: str) -> None:
        self._score.fail(f"{place[0]}-{place[1]}", sentence)
