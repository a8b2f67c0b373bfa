"""A seed names a run, and every kind comes before any comes again."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.faults import SECONDS, kinds_at
from tests.chaos.schedule import draw

_SEEDS = st.integers(0, 10_000)


@given(_SEEDS, st.floats(1, 2000), st.sampled_from(["object", "wal"]))
def test_a_seed_draws_the_same_faults_again_and_all_end_in_time(seed: int, seconds: float, durability: str) -> None:
    kinds = kinds_at(durability)  # type: ignore[arg-type]
    planned = draw(seed, seconds, kinds, SECONDS)
    assert planned == draw(seed, seconds, kinds, SECONDS)
    assert planned, "there is always one"
    assert len([fault for fault in planned if fault.end > seconds]) <= 1, "the first may, where time is short"
    assert [fault.at for fault in planned] == sorted(fault.at for fault in planned)
    assert {fault.kind for fault in planned} <= set(kinds)


@given(_SEEDS)
def test_a_long_run_draws_every_kind_and_some_overlap(seed: int) -> None:
    planned = draw(seed, 1800, kinds_at("object"), SECONDS)
    assert {fault.kind for fault in planned} == set(kinds_at("object"))
    assert any(after.at < before.end for before, after in itertools.pairwise(planned))


def test_no_disk_is_lost_where_the_promise_is_the_disk() -> None:
    assert set(kinds_at("object")) - set(kinds_at("wal")) == {"disk-lost"}
