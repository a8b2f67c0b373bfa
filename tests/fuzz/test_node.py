"""A whole node serves a real client through thousands of hostile inputs, and keeps nothing of them."""

from collections.abc import Sequence

from tests.fuzz.node import fuzz_own_node

MOST_ROUNDS = 16
INPUTS = 1000  # in each round, the same ones: what the first leaves behind for good, the later ones find there
LEAK_BYTES = 2**20  # a node that keeps a kilobyte of each input grows by more in every round
MAX_RSS_BYTES = 400 * 2**20  # what a lying length, count or time-out could claim is gigabytes


def test_a_node_serves_on_and_keeps_nothing_of_hostile_inputs() -> None:
    report = fuzz_own_node(seed=1, rounds=[range(INPUTS)] * MOST_ROUNDS, connections=24, enough=_stopped_growing)
    assert report.problems == [], report
    assert all(one.sent == INPUTS for one in report.rounds)
    assert _stopped_growing(report.rss_bytes), report
    assert max(report.rss_bytes) < MAX_RSS_BYTES, report


def _stopped_growing(rss_bytes: Sequence[int]) -> bool:
    """Two rounds in a row added next to nothing; before that caches fill and buffers are pooled, as it comes."""
    return len(rss_bytes) > 4 and rss_bytes[-1] - rss_bytes[-3] < 2 * LEAK_BYTES
