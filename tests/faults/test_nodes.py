"""Nodes of a cluster that are killed, lose their disks, are paused, or all end at once; on SeaweedFS and a Valkey."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cauce.testing import CauceProcess
from tests.cauce.cluster import ThreeNodes, eventually, nodes_on, read_all, shared_redis
from tests.cauce.commands import works
from tests.cauce.kept import node_id, write
from tests.faults.load import load
from tests.servers import S3Server

_PARTITIONS = 12
_ALL = range(_PARTITIONS)
pytestmark = pytest.mark.timeout(600)
_SETTINGS = {"cauce.session.timeout.ms": "3000", "cauce.roles": "ingest,reader"}


@pytest.fixture(scope="module")
def cluster(seaweed_server: S3Server) -> Iterator[ThreeNodes]:
    with tempfile.TemporaryDirectory(prefix="cauce-") as name, shared_redis(Path(name)) as redis:
        with nodes_on(Path(name), seaweed_server.url("nodes"), redis, _SETTINGS) as running:
            running.create_topic("object", _PARTITIONS, cauce__durability="object")
            running.create_topic("wal", _PARTITIONS, cauce__durability="wal")
            yield running
            for node in running.nodes:
                print(node.output)  # shown when a test fails


def _victim(cluster: ThreeNodes, topic: str) -> tuple[CauceProcess, set[int]]:
    """A node, and what it leads of a topic once every node leads some of it."""
    leaders, victim = cluster.await_leaders(topic), cluster.nodes[1]
    return victim, {partition for partition, leader in leaders.items() if leader == node_id(victim)}


def _await_nobody_leads(cluster: ThreeNodes, topic: str, partitions: set[int]) -> None:
    """Nobody leads these partitions, and all others have a leader."""

    def waiting() -> set[int]:
        return {partition for partition, leader in cluster.leaders(topic).items() if leader == -1}

    eventually("the partitions wait for their disk", lambda: waiting() == partitions)


def test_a_killed_node_whose_disk_is_kept(cluster: ThreeNodes) -> None:
    victim, led = _victim(cluster, "wal")
    with load(cluster.bootstrap, _PARTITIONS, "object", "wal") as (at_object, at_wal):
        victim.kill()
        at_object.await_each(_ALL)
        _await_nobody_leads(cluster, "wal", led)
        at_wal.await_each(set(_ALL) - led)
        victim.start()
        at_wal.await_each(_ALL)
        at_object.await_each(_ALL)


def test_a_node_that_is_paused_for_longer_than_its_session_and_comes_back(cluster: ThreeNodes) -> None:
    victim, led = _victim(cluster, "wal")
    with load(cluster.bootstrap, _PARTITIONS, "object", "wal") as (at_object, at_wal):
        printed = len(victim.output)
        os.kill(victim.pid, signal.SIGSTOP)
        try:
            at_object.await_each(_ALL)
            _await_nobody_leads(cluster, "wal", led)
        finally:
            os.kill(victim.pid, signal.SIGCONT)
        eventually("it knows that its session is over", lambda: " is over" in victim.output[printed:])
        at_wal.await_each(_ALL)
        at_object.await_each(_ALL)


def test_every_node_killed_at_once(cluster: ThreeNodes) -> None:
    cluster.await_leaders("wal")
    with load(cluster.bootstrap, _PARTITIONS, "object", "wal") as producers:
        for node in cluster.nodes:
            os.kill(node.pid, signal.SIGKILL)
        for node in cluster.nodes:
            node.kill()  # waits for its end
        for node in cluster.nodes:
            node.start()
        for producer in producers:
            producer.await_each(_ALL)


def test_a_killed_node_whose_disk_is_lost(cluster: ThreeNodes, seaweed_server: S3Server) -> None:
    cluster.create_topic("loose", _PARTITIONS, cauce__durability="wal", unclean__leader__election__enable="true")
    victim, led = _victim(cluster, "loose")
    written = write(cluster.bootstrap, "loose", [f"early-{number}" for number in range(100)])
    eventually("they are published", lambda: len(_published(seaweed_server)) == _PARTITIONS)
    with load(cluster.bootstrap, _PARTITIONS, "object") as (at_object,):
        written = write(cluster.bootstrap, "loose", [f"late-{number}" for number in range(100)]) + written
        published = _published(seaweed_server)
        victim.kill()
        shutil.rmtree(victim.data)
        at_object.await_each(_ALL)
    cluster.await_leaders("loose")
    stands = read_all(cluster.bootstrap, "loose", _PARTITIONS)
    for partition, offset, _, value in written:
        if partition not in led or offset <= published[partition]:
            assert stands[partition, offset] == value
    assert any("unclean election" in node.output for node in cluster.living)
    victim.start()
    after = write(cluster.bootstrap, "loose", [f"after-{number}" for number in range(100)])
    now = read_all(cluster.bootstrap, "loose", _PARTITIONS)
    assert now == stands | {(partition, offset): value for partition, offset, _, value in after}


def _published(store: S3Server) -> dict[int, int]:
    """Partition → last offset of "loose" in the bucket."""
    rows = works("bucket", "ls", "loose", "--bucket", store.url("nodes"), "--json").json
    return {
        partition: max(row["last_offset"] for row in rows if row["partition"] == partition)
        for partition in {row["partition"] for row in rows}
    }
