"""The few footers that a takeover reads give the very log that all of them give, whatever the view still knows."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.segment import holders as holders_module
from infra.segment.holders import Holder, Holders
from ingest import session_extents
from ingest.footer_walk import FooterWalk, SoughtEpoch
from ingest.log_end import LogEnds
from tests.ingest_leases.ended_session import EndedSession, EveryFooter

PARTITIONS = 4
numbers = st.integers(0, PARTITIONS - 1)
flushes = st.tuples(st.just("flush"), st.sets(numbers, min_size=1, max_size=3), st.integers(0, 3))
leases = st.tuples(st.just("release"), numbers) | st.tuples(st.just("lead again"), numbers, st.integers(0, 2))
rest = st.one_of(
    st.tuples(st.just("compact"), numbers, st.integers(1, 9)),
    st.tuples(st.just("collect garbage")),
    st.tuples(st.just("tell"), st.booleans()),
)
rounds = st.lists(
    st.tuples(st.lists(flushes, min_size=1, max_size=8), leases, st.none() | rest), min_size=2, max_size=6
)


@contextmanager
def told_every(segments: int) -> Iterator[None]:
    every, holders_module.HOLDERS_EVERY = holders_module.HOLDERS_EVERY, segments
    try:
        yield
    finally:
        holders_module.HOLDERS_EVERY = every


async def carry_out(session: EndedSession, step: tuple | None) -> None:  # type: ignore[type-arg]
    match step:
        case ("flush", partitions, in_the_air):
            await session.flush(partitions, in_the_air=in_the_air)
        case ("release", number):
            await session.release(number)
        case ("lead again", number, batches):
            await session.lead_again(number, batches)
        case ("compact", number, extents):
            await session.compact(number, extents)
        case ("collect garbage",):
            await session.collect_garbage()
        case ("tell", telling):
            session.telling = telling


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rounds=rounds,
    every=st.sampled_from([1, 2, 3, 4, 8]),
    most_holders=st.sampled_from([1, 2, 1_000, 1_000]),
    landed=st.lists(st.booleans(), min_size=3, max_size=3),
    published=st.integers(0, 3),
    returned=st.none() | numbers,
    age=st.sampled_from([0, 1, 4, 9, 1_000, 1_000]),
    only=st.none() | numbers,
)
def test_it_is_the_log_that_every_footer_gives(
    rounds: list[tuple],  # type: ignore[type-arg]
    every: int,
    most_holders: int,
    landed: list[bool],
    published: int,
    returned: int | None,
    age: int,
    only: int | None,
) -> None:
    async def scenario() -> None:
        session = EndedSession(PARTITIONS, most_holders=most_holders)
        await session.begin()
        views = [{}]
        for step in [step for flushes, lease, other in rounds for step in (*flushes, lease, other)]:
            await carry_out(session, step)
            views.append(dict(session.view))
        await session.die(landed, published)
        views.append(dict(session.view))
        if returned is not None:
            await session.return_wal(returned)
        acknowledged = {partition: known.end_offset for partition, known in session.view.items()}
        view = views[-1 - age] if age < len(views) else {}
        expected = await session.adopt(EveryFooter, view, only)
        assert await session.adopt(LogEnds, view, only) == expected
        assert all(adopted.log.end_offset >= acknowledged.get(one, 0) for one, adopted in expected.items())

    with told_every(every):
        asyncio.run(scenario())


def test_what_was_given_back_is_found_by_a_claimant_whose_view_has_gone_back() -> None:
    async def scenario() -> None:
        session = EndedSession(2)
        await session.begin()
        await session.flush([1])
        await session.release(1)
        for _ in range(3):
            await session.flush([0])
        await session.die([], 0)
        adopted = await session.adopt(LogEnds, {}, only=1)
        assert adopted[session.led[1].partition].log.end_offset == 2

    with told_every(2):
        asyncio.run(scenario())


def count_footers(segments: int, *, telling: bool = True) -> int:
    """Footers that a takeover reads of a session of so many segments: one partition is written all the time, and fifty
    are idle: never written, compacted, written once, given back."""

    async def scenario() -> int:
        session = EndedSession(51)
        session.telling = telling
        await session.begin()
        await session.flush(range(10, 40))
        for number in range(10, 30):
            await session.compact(number, 1)
        for number in range(20, 40):
            await session.release(number)
        for _ in range(segments - 3):
            await session.flush([0], in_the_air=2)
        await session.flush([0, 5], in_the_air=2)
        await session.flush([0], in_the_air=2)
        await session.die([True, True], 0)
        session.store.footers.clear()
        adopted = await session.adopt(LogEnds, session.view)
        read = list(session.store.footers)
        assert len(read) == len(set(read))
        assert adopted[session.led[5].partition].log.end_offset == 2
        assert adopted[session.led[0].partition].log.end_offset == 2 * (segments - 1)
        return len(read)

    return asyncio.run(scenario())


def test_idle_partitions_cost_a_takeover_few_footers() -> None:
    assert count_footers(1_000) <= 2 * 16
    assert count_footers(100, telling=False) == 100


def test_a_damaged_entry_costs_nothing_but_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Holders.decode.__func__  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(session_extents.Holders, "decode", classmethod(lambda cls, entry: decode(cls, entry + "x")))
        assert count_footers(100) == 100


class TestWalk:
    """Which footers are read, by sequence; carriers at 0, 16, 32 …"""

    first, second = (one.partition for one in EndedSession(2).led)

    def test_without_holders_everything_unknown_is_read_in_few_turns(self) -> None:
        walk = FooterWalk({self.first: SoughtEpoch(3, 0, 9)}, 1000)
        read: list[range] = []
        while (stretch := walk.next()) is not None:
            read.append(stretch)
            walk.read({})
        assert [stretch.start for stretch in read] == [992, 976, 944, 880, 752, 496, 10]
        assert sorted(number for stretch in read for number in stretch) == list(range(10, 1001))

    def test_what_is_known_is_not_read(self) -> None:
        assert FooterWalk({self.first: SoughtEpoch(3, 0, 9)}, 9).next() is None
        assert FooterWalk({self.first: SoughtEpoch(3, 0)}, -1).next() is None
        assert FooterWalk({}, 100).next() is None

    def test_holders_say_where_to_go_on(self) -> None:
        walk = FooterWalk({self.first: SoughtEpoch(3, 10), self.second: SoughtEpoch(1, 10)}, 1000)
        assert walk.next() == range(992, 1001)
        walk.read({992: Holders(0, {self.first: Holder(500, 3, 10), self.second: Holder(990, 1, 9)})})
        assert walk.next() == range(496, 501)
        walk.read({496: Holders(0, {self.first: Holder(495, 3, 9)})})
        assert walk.next() is None

    def test_an_older_epoch_says_that_there_is_nothing_and_a_newer_one_nothing_at_all(self) -> None:
        for epoch, upto in ((2, None), (4, 991)):
            walk = FooterWalk({self.first: SoughtEpoch(3, 10)}, 1000)
            walk.next()
            walk.read({992: Holders(0, {self.first: Holder(500, epoch, 99)})})
            stretch = walk.next()
            assert (stretch and stretch[-1]) == upto

    def test_what_was_given_up_is_sought_below(self) -> None:
        walk = FooterWalk({self.first: SoughtEpoch(3, 10), self.second: SoughtEpoch(3, 10, 699)}, 1000)
        walk.next()
        walk.read({992: Holders(700, {})})
        assert walk.next() == range(688, 700)
