"""A short upgrade for the default suite: two nodes, a step back, a few cases; `python -m tests.upgrade` does it all."""

from pathlib import Path

import pytest

from tests.upgrade import history
from tests.upgrade.cluster import mixed_nodes
from tests.upgrade.load import Load
from tests.upgrade.release import Absent, earlier, present
from tests.upgrade.suite import run_cases
from tests.wire.confluent_client import ConfluentClient

_CASES = ("produce_idempotent", "consume_deleted_records", "group_resumes", "admin_add_partitions", "admin_nodes")


@pytest.mark.timeout(900)
def test_two_nodes_are_upgraded_one_after_the_other(tmp_path: Path) -> None:
    try:
        old = earlier(tmp_path)
    except Absent as reason:
        pytest.skip(str(reason))
    new = present()
    with mixed_nodes(tmp_path, (tmp_path / "bucket").as_uri(), [old, old]) as cluster:
        before = history.write(cluster.bootstrap)
        with Load(cluster, partitions=12) as load:
            for step, (number, release) in enumerate([(0, new), (0, old), (0, new), (1, new)]):
                cluster.change(number, release)
                load.goes_on()
                assert [history.differences(before, history.read(node.bootstrap)) for node in cluster.nodes] == [[], []]
                if cluster.releases == [new, old]:
                    [tally] = run_cases(cluster.bootstrap, 2, f"step-{step}", [ConfluentClient], _CASES)
                    assert not tally.failed
            load.end()
