"""Three nodes on one bucket: any of them may be asked, stopped or killed, and nothing acknowledged is lost."""

from collections.abc import Callable, Iterator

import pytest

from cauce.testing import CauceProcess
from tests.cauce.cluster import GroupMember, ThreeNodes, eventually, read_all, three_nodes
from tests.cauce.steady_producer import SteadyProducer

_PARTITIONS = 36  # so many that each node leads some, whatever the ids of the topics are


@pytest.fixture(scope="module")
def cluster() -> Iterator[ThreeNodes]:
    with three_nodes() as found:
        yield found


def test_partitions_spread_and_every_node_serves_them(cluster: ThreeNodes) -> None:
    cluster.create_topic("spread", _PARTITIONS)
    producers = [SteadyProducer(node.bootstrap, "spread") for node in cluster.nodes]
    for producer in producers:
        with producer:
            producer.await_more()
        assert not producer.refused

    for node in cluster.nodes:
        stands = read_all(node.bootstrap, "spread", _PARTITIONS)
        assert {partition for partition, _ in stands} == set(range(_PARTITIONS))
        assert stands == {place: value for one in producers for place, value in one.promised(stands).items()}


def test_a_node_stopped_cleanly_hands_its_partitions_over(cluster: ThreeNodes) -> None:
    cluster.create_topic("stopped", _PARTITIONS)

    def stop(node: CauceProcess) -> None:
        assert node.stop() == 0, node.output

    _goes_on_without_a_node(cluster, "stopped", stop)


def test_a_killed_node_is_followed_by_the_others(cluster: ThreeNodes) -> None:
    cluster.create_topic("killed", _PARTITIONS)
    _goes_on_without_a_node(cluster, "killed", CauceProcess.kill)


def _goes_on_without_a_node(cluster: ThreeNodes, topic: str, end: Callable[[CauceProcess], None]) -> None:
    group = f"{topic}-group"
    with GroupMember(cluster.bootstrap, group, topic) as one, GroupMember(cluster.bootstrap, group, topic) as two:
        with SteadyProducer(cluster.bootstrap, topic) as producer:
            producer.await_more()
            eventually("both members read", lambda: one.got and two.got)
            gone = cluster.coordinator(group)  # the hardest: the group loses its coordinator as well
            end(gone)
            cluster.await_leaders(topic)
            producer.await_more()
            gone.start()
            cluster.await_leaders(topic)
            producer.await_more()
        assert not producer.refused
        stands = read_all(cluster.bootstrap, topic, _PARTITIONS)
        assert stands == producer.promised(stands)
        eventually("the group has read everything", lambda: stands.keys() <= one.got.keys() | two.got.keys())

    assert {**one.got, **two.got} == stands
