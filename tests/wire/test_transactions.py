"""The cases of transactions once more where a node is not alone, and where an acknowledgement waits for the bucket.

One node at `wal` runs them with all others. Here coordinator, partitions and groups are on different nodes, and every
decision and marker may be a flush.
"""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cauce.testing import CauceProcess
from tests.cauce.cluster import nodes_on, shared_redis
from tests.wire.aiokafka_client import AiokafkaClient
from tests.wire.cases import CASES
from tests.wire.client import Client, LeftOut
from tests.wire.compatibility import PASS
from tests.wire.confluent_client import ConfluentClient
from tests.wire.kafka_python_client import KafkaPythonClient
from tests.wire.peers import PEERS, Absent, run_suite

_KIND = "transaction"
_CASES = [name for name in CASES if name.partition("_")[0] == _KIND]
_CLIENTS: list[type[Client]] = [ConfluentClient, AiokafkaClient, KafkaPythonClient]
_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "cauce.flush.interval.ms": "20",
}


@dataclass(frozen=True)
class Place:
    """Where the cases run."""

    durability: str
    nodes: int

    def __str__(self) -> str:
        return f"{self.nodes}-{self.durability}"


_PLACES = [Place("object", 1), Place("wal", 3), Place("object", 3)]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=_PLACES, ids=str)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    """A place and its bootstrap."""
    where: Place = request.param
    settings = {**_SETTINGS, "cauce.durability": where.durability}
    folder: Path = tmp_path_factory.mktemp("place")
    with ExitStack() as stack:
        if where.nodes == 1:
            options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
            nodes = [stack.enter_context(CauceProcess(folder, options=options))]
            bootstrap = nodes[0].bootstrap
        else:
            redis = stack.enter_context(shared_redis(folder))
            cluster = stack.enter_context(nodes_on(folder, (folder / "bucket").as_uri(), redis, settings, where.nodes))
            nodes, bootstrap = cluster.nodes, cluster.bootstrap
            cluster.create_topic("all-lead-something", 12)
        yield where, bootstrap
        for node in nodes:
            assert node.running, f"the node ended:\n{node.output}"


@pytest.mark.parametrize("case", _CASES)
@pytest.mark.parametrize("kind", _CLIENTS, ids=lambda kind: kind.name)
def test_case(place: tuple[Place, str], kind: type[Client], case: str) -> None:
    client = kind(place[1])
    try:
        CASES[case](client, f"{case.replace('_', '-')}.{client.name}")
    except LeftOut as reason:
        pytest.skip(str(reason))
    finally:
        client.close()


@pytest.mark.timeout(600)
def test_java(place: tuple[Place, str], tmp_path: Path) -> None:
    where, bootstrap = place
    [java] = [peer for peer in PEERS if peer.name == "java"]
    try:
        command = java.prepare(tmp_path)
    except Absent as reason:
        warnings.warn(f"java was left out: {reason}", stacklevel=1)
        return
    outcomes = {case: (outcome, why) for case, outcome, why in run_suite(command, bootstrap, where.nodes, "", [_KIND])}
    assert {case: one for case, one in outcomes.items() if one[0] != PASS} == {}
    assert set(outcomes) == set(_CASES)
