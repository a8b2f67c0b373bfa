"""A short upgrade for the default suite: two nodes, some cases; `python -m tests.upgrade` does it all."""

from pathlib import Path

import pytest

from tests.upgrade.cluster import mixed_nodes
from tests.upgrade.load import Load
from tests.upgrade.release import Absent, earlier, present
from tests.upgrade.suite import run_cases
from tests.wire.confluent_client import ConfluentClient

_CASES = ("produce_idempotent", "consume_deleted_records", "group_resumes", "admin_add_partitions", "admin_nodes")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_nodes_are_upgraded_one_after_the_other(tmp_path: Path) -> None:
    try:
        old = earlier(tmp_path)
    except Absent as reason:
        pytest.skip(str(reason))
    new = present()
    # A session that outlives a stall of the machine: nothing is killed here, so nobody waits for its end.
    with mixed_nodes(tmp_path, (tmp_path / "bucket").as_uri(), [old, old], session_seconds=30) as cluster:
        with Load(cluster, partitions=12) as load:
            cluster.change(0, new)
            load.goes_on()
            [tally] = run_cases(cluster.bootstrap, 2, "mixed", [ConfluentClient], _CASES)
            assert not tally.failed
            cluster.change(1, new)
            load.goes_on()
            load.end()
