"""Nodes of a cluster that are killed, lose their disks, are paused, or all end at once; on SeaweedFS and a Valkey."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from cauce.testing import CauceProcess
from infra.cluster.lease_objects import last_epochs, read_epoch
from infra.cluster.records import EpochRecord
from infra.store.open import open_store
from tests.cauce.cluster import ThreeNodes, eventually, nodes_on, read_all, shared_redis
from tests.cauce.commands import works
from tests.cauce.kept import node_id, write
from tests.faults.load import load
from tests.servers import S3Server

_PARTITIONS = 12
_ALL = range(_PARTITIONS)
pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
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
    eventually("the partitions wait for their disk", lambda: _without_leader(cluster, topic) == partitions)


def _without_leader(cluster: ThreeNodes, topic: str) -> set[int]:
    return {partition for partition, leader in cluster.leaders(topic).items() if leader == -1}


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


def test_durability_that_changes_on_a_running_topic(cluster: ThreeNodes, seaweed_server: S3Server) -> None:
    """What a durability promises holds as soon as each partition's last epoch record, which claimants obey, has it."""
    cluster.create_topic("changing", _PARTITIONS, cauce__durability="object")
    victim, _ = _victim(cluster, "changing")
    topic_id = UUID(works("topic", "describe", "changing", "--json", "-b", cluster.bootstrap).json["id"])

    with (
        _last_epochs(seaweed_server.url("nodes"), topic_id) as last,
        load(cluster.bootstrap, _PARTITIONS, "changing", pause_seconds=0.01) as (producer,),
    ):

        def change(durability: str) -> None:
            works("topic", "alter", "changing", "-c", f"cauce.durability={durability}", "-b", cluster.bootstrap)
            eventually(
                "each partition has it", lambda: {record.durability for record in last().values()} == {durability}
            )

        def led_by_victim() -> set[int]:
            return {partition for partition, record in last().items() if record.session.node_id == node_id(victim)}

        change("wal")
        cluster.await_leaders("changing")
        victim.kill()
        waiting = eventually(
            "its partitions wait for its disk", lambda: _same(_without_leader(cluster, "changing"), led_by_victim())
        )
        producer.await_each(set(_ALL) - waiting)
        victim.start()
        producer.await_each(_ALL)
        cluster.await_leaders("changing")
        change("object")
        victim.kill()
        producer.await_each(_ALL)  # others go on, without its disk
        victim.start()


def _same(one: set[int], other: set[int]) -> set[int]:
    """The two sets where they are the same, else nothing."""
    return one if one == other else set()


@contextlib.contextmanager
def _last_epochs(bucket: str, topic_id: UUID) -> Iterator[Callable[[], dict[int, EpochRecord]]]:
    """Tells partition → the newest epoch record, whenever it is asked."""
    store = open_store(bucket)

    async def read() -> dict[int, EpochRecord]:
        epochs = await last_epochs(store, topic_id)
        return {place.partition: await read_epoch(store, place, epoch) for place, epoch in epochs.items()}

    with asyncio.Runner() as runner:
        try:
            yield lambda: runner.run(read())
        finally:
            runner.run(store.close())


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
