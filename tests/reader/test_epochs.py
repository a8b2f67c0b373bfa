"""Leader epochs against a naive model of Kafka's cache of them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import Refused
from infra.ports import EpochStart
from reader.epochs import check_leader_epoch, end_of_epoch, epoch_at
from tests.reader.world import World, batch_of


class KafkaEpochs:
    """Kafka's LeaderEpochFileCache: entries are entered one by one, a new one drops those that held nothing."""

    def __init__(self) -> None:
        self.entries: list[list[int]] = []  # epoch, start offset

    def assign(self, epoch: int, start: int) -> None:
        while self.entries and (self.entries[-1][0] >= epoch or self.entries[-1][1] >= start):
            self.entries.pop()
        self.entries.append([epoch, start])

    def truncate_from_start(self, start: int) -> None:
        below = [entry for entry in self.entries if entry[1] <= start]
        if below:
            self.entries = [[below[-1][0], start], *(entry for entry in self.entries if entry[1] > start)]

    def end_offset_for(self, asked: int, log_end: int) -> tuple[int, int]:
        if asked == -1 or not self.entries:
            return -1, -1
        if asked == self.entries[-1][0]:
            return asked, log_end
        higher = [entry for entry in self.entries if entry[0] > asked]
        if not higher:
            return -1, -1
        floor = [entry for entry in self.entries if entry[0] <= asked]
        return (floor[-1][0] if floor else asked), higher[0][1]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int, int]:
    """Epochs with start offsets, the log start offset, the log end offset."""
    epoch, start, epochs = draw(st.integers(0, 3)), 0, []
    for _ in range(draw(st.integers(1, 6))):
        epochs.append((epoch, start))
        epoch += draw(st.integers(1, 3))
        start += draw(st.sampled_from([0, 0, 1, 5]))
    end = epochs[-1][1] + draw(st.integers(0, 4))
    return epochs, draw(st.integers(0, end)), end


@given(histories(), st.integers(-1, 25))
def test_end_of_epoch_is_kafkas(history: tuple[list[tuple[int, int]], int, int], asked: int) -> None:
    epochs, log_start, end = history
    kafka = KafkaEpochs()
    for epoch, start in epochs:
        kafka.assign(epoch, start)
    kafka.truncate_from_start(log_start)

    async def answer() -> tuple[int, int]:
        led = World().lead(epochs=epochs, end_offset=epochs[-1][1], log_start=log_start)
        if end > epochs[-1][1]:
            led.append(batch_of(*range(end - epochs[-1][1])))
        return end_of_epoch(led.log, asked)

    assert asyncio.run(answer()) == kafka.end_offset_for(asked, end)


@given(histories(), st.integers(0, 40))
def test_epoch_at_is_the_one_that_wrote_the_offset(history: tuple[list[tuple[int, int]], int, int], at: int) -> None:
    epochs, _, end = history
    wrote = {}
    for number, (epoch, start) in enumerate(epochs):
        upto = epochs[number + 1][1] if number + 1 < len(epochs) else max(end, 41)
        wrote.update(dict.fromkeys(range(start, upto), epoch))
    assert epoch_at([EpochStart(*one) for one in epochs], at) == wrote[at]


def test_no_epoch_below_the_first() -> None:
    assert epoch_at([EpochStart(3, 10)], 9) == -1


def test_check_leader_epoch() -> None:
    async def check() -> None:
        log = World().lead(epochs=[(5, 0)]).log
        check_leader_epoch(log, -1)
        check_leader_epoch(log, 5)
        for believed, code in ((4, 74), (6, 75)):
            with pytest.raises(Refused) as caught:
                check_leader_epoch(log, believed)
            assert caught.value.code == code

    asyncio.run(check())
