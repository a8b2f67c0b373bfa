"""A whole node serves a real client through thousands of hostile inputs, and keeps nothing of them."""

from itertools import pairwise

from tests.fuzz.node import fuzz_own_node

ROUNDS = 5
INPUTS = 1000  # in each round, the same ones: what the first leaves behind for good, the later ones find there
MAX_GROWTH_BYTES = 6 * 2**20  # the middle one of the rounds' growths: one round may load what flushes need
MAX_RSS_BYTES = 400 * 2**20  # what a lying length, count or time-out could claim is gigabytes


def test_a_node_serves_on_and_keeps_nothing_of_hostile_inputs() -> None:
    report = fuzz_own_node(seed=1, rounds=[range(INPUTS)] * ROUNDS, connections=24)
    assert report.problems == [], report
    assert [one.sent for one in report.rounds] == [INPUTS] * ROUNDS
    sizes = report.rss_bytes[1:]
    growth = sorted(after - before for before, after in pairwise(sizes))
    assert growth[len(growth) // 2] < MAX_GROWTH_BYTES, report
    assert max(sizes) < MAX_RSS_BYTES, report
