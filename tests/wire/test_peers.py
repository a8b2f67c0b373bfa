"""The Java client and kafkajs, where Java and npm are present; where they are not, the run says so."""

import warnings
from pathlib import Path

import pytest

from cauce.testing import CauceProcess
from tests.wire.compatibility import LEFT_OUT, PASS, Outcomes
from tests.wire.peers import PEERS, Absent, Peer, run_suite


@pytest.mark.timeout(600)
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_suite(peer: Peer, tmp_path: Path, cauce_node: CauceProcess, outcomes: Outcomes) -> None:
    outcomes.client(peer.name, peer.version)
    try:
        command = peer.prepare(tmp_path)
    except Absent as reason:
        outcomes.add(peer.name, "all", LEFT_OUT, str(reason))
        warnings.warn(f"{peer.name} was left out: {reason}", stacklevel=1)
        return
    failed = []
    passed = 0
    for case, outcome, why in run_suite(command, cauce_node.bootstrap):
        outcomes.add(peer.name, case, outcome)
        passed += outcome == PASS
        if outcome != PASS:
            failed.append(f"{case}: {why}")
    assert not failed, "\n".join(failed)
    assert passed >= 30
