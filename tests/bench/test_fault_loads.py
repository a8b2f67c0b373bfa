"""What the programs that measure faults find when records are lost, doubled or out of place: planted, and found."""

from collections.abc import Callable

import numpy as np
import pytest

from bench.outage_load import Load, Produced, partition_of, problems
from bench.redis_lost_load import Int64s, SteadyLoad

_RECORDS = 350
Found = dict[int, tuple[Int64s, Int64s]]


def _outage() -> tuple[list[Load], list[Produced], Found]:
    """Two producers with two partitions each, all of whose records are where they were acknowledged."""
    loads, results, found = [], [], {}
    for producer in range(2):
        partitions = (2 * producer, 2 * producer + 1)
        load = Load(
            bootstrap="",
            topic="orders",
            number=producer,
            partitions=partitions,
            records_per_second=1.0,
            began=0.0,
            make_up=False,
        )
        offsets = np.full(_RECORDS, -1, np.int64)
        for partition in partitions:
            mine = np.array([number for number in range(_RECORDS) if partition_of(partitions, number) == partition])
            offsets[mine] = np.arange(len(mine))
            found[partition] = np.full(len(mine), producer), mine
        loads.append(load)
        results.append(Produced(producer, offsets, []))
    return loads, results, found


def _lose(rows: Int64s) -> Int64s:
    return np.delete(rows, 7)


def _double(rows: Int64s) -> Int64s:
    return np.append(rows, rows[7])


def _swap(rows: Int64s) -> Int64s:
    return np.concatenate([rows[1::-1], rows[2:]])


def test_an_outage_without_loss_has_no_problems() -> None:
    assert problems(*_outage()) == []


@pytest.mark.parametrize(
    ("plant", "words"), [(_lose, "1 acknowledged records are lost"), (_double, "twice"), (_swap, "out of order")]
)
def test_what_an_outage_loses_doubles_or_moves_is_found(plant: Callable[[Int64s], Int64s], words: str) -> None:
    loads, results, found = _outage()
    rows = plant(found[3][1])
    found[3] = np.ones(len(rows), np.int64), rows
    assert any(words in one and "partition 3" in one for one in problems(loads, results, found))


def test_records_that_were_never_acknowledged_may_be_missing() -> None:
    loads, results, found = _outage()
    last = int(found[3][1][-1])
    results[1].offsets[last] = -1
    found[3] = found[3][0][:-1], found[3][1][:-1]
    assert problems(loads, results, found) == []


def _steady() -> tuple[SteadyLoad, list[Int64s]]:
    load = SteadyLoad("orders", 3)
    load.offsets.extend(number // 3 for number in range(30))
    return load, [np.arange(partition, 30, 3) for partition in range(3)]


def test_a_lost_redis_without_loss_has_no_problems() -> None:
    load, found = _steady()
    assert list(load.problems(found)) == []


@pytest.mark.parametrize(
    ("plant", "words"), [(_lose, "1 acknowledged records are lost"), (_double, "more than once"), (_swap, "2 records")]
)
def test_what_a_lost_redis_loses_doubles_or_moves_is_found(plant: Callable[[Int64s], Int64s], words: str) -> None:
    load, found = _steady()
    found[1] = plant(found[1])
    assert any(words in one for one in load.problems(found))
