"""When a compactor waits for nodes of an earlier release."""

import pytest

from compactor.upgrade import LINGER_SECONDS, Upgrade


def test_nothing_waits_where_every_node_is_of_this_release() -> None:
    assert not Upgrade().under_way([], 0.0)


def test_it_waits_while_one_is_behind_and_a_while_after(caplog: pytest.LogCaptureFixture) -> None:
    upgrade = Upgrade()
    assert upgrade.under_way([2], 10.0)
    assert upgrade.under_way([2, 3], 15.0)
    assert upgrade.under_way([], 15.0 + LINGER_SECONDS - 1)  # killed, perhaps, and about to come back as it was
    assert not upgrade.under_way([], 15.0 + LINGER_SECONDS)
    assert [record.getMessage() for record in caplog.records] == [
        "compaction waits until nodes of an earlier release are upgraded: [2]",
        "every node is upgraded: compaction begins",
    ]
