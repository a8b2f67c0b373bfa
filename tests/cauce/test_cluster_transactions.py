"""Transactions over a cluster of three: markers and questions between nodes, and nodes that die at the worst moment."""

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException, Producer

from cauce.data_folder import DataFolder
from cauce.testing import CauceProcess
from tests.cauce.cluster import ThreeNodes, eventually, three_nodes
from tests.cauce.commands import works
from tests.cauce.transactions import SECONDS, Value, committed, producer, write

PARTITIONS = 18  # enough that each node leads some


@pytest.fixture(scope="module")
def cluster() -> Iterator[ThreeNodes]:
    with three_nodes() as nodes:
        yield nodes


def coordinator_of(cluster: ThreeNodes, transactional_id: str) -> CauceProcess:
    """The node that coordinates an id that is known."""
    at = ("-b", ",".join(node.bootstrap for node in cluster.living))
    rows = works("transactions", "list", "--json", *at).json
    [node_id] = [row["coordinator"] for row in rows if row["transactional_id"] == transactional_id]
    return next(node for node in cluster.living if DataFolder(node.data).node_id() == node_id)


def whole(name: str) -> list[Value]:
    """A value in every partition."""
    return [(number, f"{name}-{number}".encode()) for number in range(PARTITIONS)]


def commits(made: Producer) -> bool:
    """Whether the transaction could be committed; else it is aborted."""
    try:
        made.commit_transaction(SECONDS)
    except KafkaException as failure:
        if not failure.args[0].txn_requires_abort():
            raise
        made.abort_transaction(SECONDS)
        return False
    return True


def test_a_transaction_over_three_leaders_is_one(cluster: ThreeNodes) -> None:
    cluster.create_topic("spread", PARTITIONS)
    made = producer(cluster.bootstrap, "spread")
    for name in ("a", "b", "c"):
        write(made, "spread", whole(name), commit=name != "b")
    assert committed(cluster.bootstrap, "spread", PARTITIONS) == sorted([*whole("a"), *whole("c")])


def test_the_next_coordinator_finishes_what_the_dead_one_had_decided(cluster: ThreeNodes) -> None:
    cluster.create_topic("decided", PARTITIONS)
    made = producer(cluster.bootstrap, "decided")
    write(made, "decided", whole("before"))  # answered: decided, and its markers perhaps not written yet
    dead = coordinator_of(cluster, "decided")
    dead.kill()
    write(made, "decided", whole("after"))
    living = ",".join(node.bootstrap for node in cluster.living)
    everything = sorted([*whole("before"), *whole("after")])
    eventually("all is committed", lambda: committed(living, "decided", PARTITIONS) == everything)
    dead.start()


def test_a_leader_that_dies_in_an_open_transaction_tears_nothing(cluster: ThreeNodes) -> None:
    cluster.create_topic("torn", PARTITIONS)
    made = producer(cluster.bootstrap, "torn")
    values = whole("torn")
    made.begin_transaction()
    for partition, value in values[:9]:
        made.produce("torn", value, partition=partition)
    assert made.flush(SECONDS) == 0
    cluster.nodes[0].kill()
    for partition, value in values[9:]:
        made.produce("torn", value, partition=partition)
    expected = values if commits(made) else []
    write(made, "torn", whole("next"))
    living = ",".join(node.bootstrap for node in cluster.living)
    everything = sorted([*expected, *whole("next")])
    eventually("all or nothing", lambda: committed(living, "torn", PARTITIONS) == everything)
