from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from infra.cluster.extent_chain import chain_log, is_chain
from infra.partition import PartitionId
from infra.ports import EpochStart
from infra.segment.extent import Extent, FlushedExtent, ProducerEntry

PARTITION = PartitionId(UUID(int=7), 0)


def flushed(base: int, last: int, epoch: int, *producers: ProducerEntry, segment: str = "s") -> FlushedExtent:
    count = last - base + 1
    return FlushedExtent(Extent(PARTITION, segment, base, last, epoch, count, count, count * 10, 0, 0), producers)


def producer(producer_id: int, last_sequence: int) -> ProducerEntry:
    return ProducerEntry(producer_id, 0, ((0, last_sequence, 0, 0),))


def ranges(extents: tuple[Extent, ...]) -> list[tuple[int, int, int]]:
    return [(one.base_offset, one.last_offset, one.leader_epoch) for one in extents]


def test_no_epoch_is_an_empty_log() -> None:
    log = chain_log([], [flushed(0, 4, 0)])
    assert (log.end_offset, log.extents) == (0, ())


def test_contiguous_extents_of_one_epoch_make_the_log() -> None:
    log = chain_log([EpochStart(0, 0)], [flushed(5, 9, 0), flushed(0, 4, 0)])
    assert ranges(log.extents) == [(0, 4, 0), (5, 9, 0)]
    assert log.end_offset == 10


def test_what_comes_after_a_hole_in_the_last_epoch_is_not_in_the_log() -> None:
    log = chain_log([EpochStart(0, 0)], [flushed(0, 4, 0), flushed(6, 9, 0)])
    assert log.end_offset == 5
    assert log.gaps == ()


def test_a_late_record_of_an_older_epoch_is_void() -> None:
    epochs = [EpochStart(0, 0), EpochStart(1, 5)]
    log = chain_log(epochs, [flushed(0, 4, 0), flushed(5, 7, 0), flushed(5, 5, 1)])
    assert ranges(log.extents) == [(0, 4, 0), (5, 5, 1)]
    assert log.end_offset == 6


def test_an_epoch_that_wrote_nothing_leaves_nothing() -> None:
    epochs = [EpochStart(0, 0), EpochStart(1, 5), EpochStart(2, 5)]
    log = chain_log(epochs, [flushed(0, 4, 0), flushed(5, 9, 1), flushed(5, 6, 2)])
    assert ranges(log.extents) == [(0, 4, 0), (5, 6, 2)]


def test_an_epoch_without_a_record_does_not_count() -> None:
    log = chain_log([EpochStart(0, 0)], [flushed(0, 4, 0), flushed(5, 9, 1)])
    assert log.end_offset == 5


def test_the_same_offsets_cut_differently_are_taken_once() -> None:
    epochs = [EpochStart(0, 0)]
    log = chain_log(epochs, [flushed(0, 4, 0), flushed(5, 9, 0), flushed(5, 14, 0), flushed(10, 11, 0)])
    assert log.end_offset == 15
    assert is_chain(log.extents, 0, 15)


def test_the_path_that_leads_furthest_wins() -> None:
    log = chain_log([EpochStart(0, 0)], [flushed(0, 9, 0), flushed(0, 4, 0), flushed(5, 14, 0)])
    assert ranges(log.extents) == [(0, 4, 0), (5, 14, 0)]


def test_an_extent_that_straddles_the_floor_stays() -> None:
    log = chain_log([EpochStart(0, 0)], [flushed(0, 4, 0), flushed(5, 9, 0), flushed(10, 14, 0)], floor=7)
    assert ranges(log.extents) == [(5, 9, 0), (10, 14, 0)]
    assert is_chain(log.extents, 7, 15)


def test_a_floor_above_everything_found_is_the_end() -> None:
    log = chain_log([EpochStart(0, 0)], [flushed(0, 4, 0)], floor=20)
    assert (log.end_offset, log.extents) == (20, ())


def test_the_last_epochs_start_is_the_end_when_it_wrote_nothing() -> None:
    log = chain_log([EpochStart(0, 0), EpochStart(1, 5)], [flushed(0, 4, 0)])
    assert log.end_offset == 5


def test_the_last_epoch_is_left_to_its_claimant() -> None:
    epochs = [EpochStart(0, 0), EpochStart(1, 5)]
    found = [flushed(0, 4, 0), flushed(5, 9, 1)]
    assert chain_log(epochs, found, with_last_epoch=False).end_offset == 5
    assert chain_log(epochs, found).end_offset == 10


def test_a_lost_object_of_an_older_epoch_is_a_gap_not_the_end() -> None:
    epochs = [EpochStart(0, 0), EpochStart(1, 20)]
    log = chain_log(epochs, [flushed(0, 4, 0), flushed(10, 14, 0), flushed(20, 24, 1)])
    assert log.gaps == ((5, 10), (15, 20))
    assert log.end_offset == 25
    assert ranges(log.extents) == [(0, 4, 0), (10, 14, 0), (20, 24, 1)]


def test_the_newest_state_of_a_producer_wins_also_from_below_the_floor() -> None:
    found = [
        flushed(0, 4, 0, producer(1, 4), producer(2, 0)),
        flushed(5, 9, 0, producer(1, 9)),
        flushed(10, 14, 0, producer(3, 4)),
    ]
    log = chain_log([EpochStart(0, 0)], found, floor=12)
    assert log.producers == (producer(1, 9), producer(2, 0), producer(3, 4))


def test_producers_of_record_segments_are_not_set_back_by_extents_below_their_end() -> None:
    found = [flushed(0, 4, 0, producer(1, 4)), flushed(5, 9, 0, producer(2, 4))]
    log = chain_log([EpochStart(0, 0)], found, floor=5, producers=[producer(1, 99)], producers_upto=5)
    assert log.producers == (producer(1, 99), producer(2, 4))


def test_producers_of_void_extents_are_void() -> None:
    found = [flushed(0, 4, 0, producer(1, 4)), flushed(5, 9, 0, producer(1, 9))]
    log = chain_log([EpochStart(0, 0), EpochStart(1, 5)], found)
    assert log.producers == (producer(1, 4),)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[EpochStart], list[FlushedExtent], list[int]]:
    """A log as leaders really write it: epochs that each adopt a prefix, late and repeated extents, and its owners."""
    owners: list[int] = []  # offset → leader epoch of the record that exists there
    epochs: list[EpochStart] = []
    found: list[FlushedExtent] = []
    for epoch in range(draw(st.integers(1, 4))):
        start = len(owners)
        epochs.append(EpochStart(epoch, start))
        written = draw(st.lists(st.integers(1, 4), max_size=5))
        counted = draw(st.integers(0, len(written)))  # what the next claimant saw; the rest lands late, or never
        base = start
        for index, size in enumerate(written):
            if index < counted or draw(st.booleans()):
                found.append(flushed(base, base + size - 1, epoch, segment=f"{epoch}-{index}"))
            base += size
        owners.extend([epoch] * sum(written[:counted]))
        cut = draw(st.booleans())
        if cut and counted >= 2:  # the same bytes once more, cut otherwise
            found.append(flushed(start, start + sum(written[:counted]) - 1, epoch, segment=f"{epoch}-again"))
    return epochs, draw(st.permutations(found)), owners


@given(histories())
def test_every_epoch_but_the_last_is_found_exactly(
    history: tuple[list[EpochStart], list[FlushedExtent], list[int]],
) -> None:
    epochs, found, owners = history
    log = chain_log(epochs, found)
    assert log.gaps == ()
    assert log.end_offset >= len(owners)
    got = [one.leader_epoch for one in log.extents for _ in range(one.base_offset, one.last_offset + 1)]
    assert got[: len(owners)] == owners
    assert set(got[len(owners) :]) <= {epochs[-1].leader_epoch}
    assert is_chain(log.extents, 0, log.end_offset)


@given(histories(), st.integers(0, 40))
def test_a_floor_drops_only_what_lies_below_it(
    history: tuple[list[EpochStart], list[FlushedExtent], list[int]], floor: int
) -> None:
    epochs, found, _ = history
    whole = chain_log(epochs, found)
    floor = min(floor, whole.end_offset)
    kept = chain_log(epochs, [one for one in found if one.extent.last_offset >= floor], floor=floor)
    assert kept.end_offset == whole.end_offset
    assert kept.gaps == ()
    assert is_chain(kept.extents, floor, kept.end_offset)


@given(histories(), st.data())
def test_what_lands_later_never_takes_anything_away(
    history: tuple[list[EpochStart], list[FlushedExtent], list[int]], data: st.DataObject
) -> None:
    epochs, found, _ = history
    before = chain_log(epochs, found)
    size = data.draw(st.integers(1, 5))
    epoch = data.draw(st.sampled_from(epochs))
    late = flushed(epoch.start_offset + 1, epoch.start_offset + size, epoch.leader_epoch, segment="late")
    after = chain_log(epochs, [*found, late])
    assert after.end_offset >= before.end_offset
    assert after.gaps == ()
