"""A whole node serves a real client through thousands of hostile inputs, and keeps nothing of them."""

from tests.fuzz.node import fuzz_own_node

ROUNDS = 5
INPUTS = 1000  # in each round, the same ones: what the first leaves behind for good, the later ones find there
MAX_GROWTH_BYTES = 6 * 2**20  # of one round after the first two, which fill caches, code objects and arenas


def test_a_node_serves_on_and_keeps_nothing_of_hostile_inputs() -> None:
    report = fuzz_own_node(seed=1, rounds=[range(INPUTS)] * ROUNDS, connections=24)
    assert report.problems == [], report
    assert [one.sent for one in report.rounds] == [INPUTS] * ROUNDS
    growth = [after - before for before, after in zip(report.rss_bytes[2:], report.rss_bytes[3:], strict=False)]
    assert max(growth) < MAX_GROWTH_BYTES, report
