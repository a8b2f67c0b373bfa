"""Each step between a decision and its end with one fault; `python -m tests.torn` has every step with every fault."""

from collections.abc import Iterator

import pytest

from tests.torn.held_node import ALL_MARKERS, DECIDED, SOME_MARKERS
from tests.torn.steps import Fault, Held, held_cluster, tear


@pytest.fixture(scope="module")
def cluster() -> Iterator[Held]:
    with held_cluster() as held:
        yield held


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("step", "fault"),
    [
        (DECIDED, Fault.COORDINATOR_KILLED_AND_REDIS_WIPED),
        (SOME_MARKERS, Fault.LEADER_KILLED),
        (ALL_MARKERS, Fault.COORDINATOR_KILLED),
    ],
)
def test_no_transaction_is_torn(cluster: Held, step: str, fault: Fault) -> None:
    tear(cluster, step, fault)
