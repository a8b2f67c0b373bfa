"""A node that was stopped, killed, or has lost its Redis, and is started again: everything is there."""

import fcntl
import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cauce.testing import CauceProcess
from infra.wire.messages import fetch, produce
from tests.cauce.commands import fails_to_start, works
from tests.cauce.kept import cluster_id, commit, committed, node_id, read, write
from tests.cauce.wire import ask
from tests.servers import kept_ports

_FIRST = [f"first-{number}" for number in range(300)]
_THEN = [f"then-{number}" for number in range(200)]


def _lose_redis(data: Path) -> None:
    with (data / "redis" / "redis.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a server whose node was killed is still leaving
        shutil.rmtree(data / "redis")


def _keep_redis(data: Path) -> None:
    assert (data / "redis").is_dir()


def _stop(node: CauceProcess) -> None:
    assert node.stop() == 0, node.output


@pytest.mark.parametrize(
    ("durability", "end", "redis"),
    [
        ("wal", _stop, _keep_redis),
        ("wal", CauceProcess.kill, _keep_redis),
        ("wal", CauceProcess.kill, _lose_redis),
        ("object", _stop, _lose_redis),
        ("object", CauceProcess.kill, _lose_redis),
    ],
    ids=lambda one: one if isinstance(one, str) else one.__name__.strip("_"),
)
def test_everything_is_there_again(
    tmp_path: Path, durability: str, end: Callable[[CauceProcess], None], redis: Callable[[Path], None]
) -> None:
    node = CauceProcess(tmp_path, options=["--set", f"cauce.durability={durability}", "--set", "node.id=5"])
    with node:
        at = ("-b", node.bootstrap)
        works("topic", "create", "kept", "-p", "3", "-c", "retention.ms=86400000", *at)
        written = write(node.bootstrap, "kept", _FIRST)
        commit(node.bootstrap, "group", "kept", {0: 7, 2: 9})
        cluster = cluster_id(node.bootstrap)
        end(node)
        redis(tmp_path)
        node.start()
        assert (node_id(node), cluster_id(node.bootstrap)) == (5, cluster)
        assert read(node.bootstrap, "kept") == written
        assert committed(node.bootstrap, "group", "kept", 3) == {0: 7, 2: 9}
        configs = works("topic", "describe", "kept", "--json", *at).json["configs"]
        assert configs["retention.ms"]["value"] == "86400000"
        # It goes on where it ended: no offset twice, none left out.
        more = write(node.bootstrap, "kept", _THEN)
        assert read(node.bootstrap, "kept") == sorted(written + more)
        assert {offset for partition, offset, *_ in written + more if partition == 0} == set(
            range(sum(partition == 0 for partition, *_ in written + more))
        )


def test_a_stopped_node_leaves_nothing_but_the_bucket_and_its_name(tmp_path: Path) -> None:
    with CauceProcess(tmp_path) as node:
        works("topic", "create", "left", "-p", "2", "-b", node.bootstrap)
        write(node.bootstrap, "left", _FIRST)
        first_id, cluster = node_id(node), cluster_id(node.bootstrap)
        _stop(node)
        rows = works("bucket", "ls", "left", "--data", str(tmp_path), "--json").json
        assert sum(row["records"] for row in rows) == len(_FIRST)
        assert {row["partition"] for row in rows} == {0, 1}
        assert set(rows[0]) == {
            *("topic", "partition", "first_offset", "last_offset", "leader_epoch", "batches", "records", "bytes"),
            "segment",
        }
        table = works("bucket", "ls", "--data", str(tmp_path)).lines
        assert table[0].split()[:3] == ["topic", "partition", "first"]
        # Without WAL and Redis: it starts on the bucket alone, as the node it was.
        shutil.rmtree(tmp_path / "wal")
        _lose_redis(tmp_path)
        node.start()
        assert (node_id(node), cluster_id(node.bootstrap)) == (first_id, cluster)
        assert len(read(node.bootstrap, "left")) == len(_FIRST)


def test_broker_configs_and_deleted_topics_outlive_redis(tmp_path: Path) -> None:
    with CauceProcess(tmp_path) as node:
        at = ("-b", node.bootstrap)
        works("topic", "create", "gone", *at)
        works("topic", "delete", "gone", "-y", *at)
        works("topic", "create", "grown", *at)
        works("topic", "alter", "grown", "-p", "4", "-c", "cleanup.policy=compact", *at)
        before = json.loads(works("topic", "list", "--json", *at).out)
        node.kill()
        _lose_redis(tmp_path)
        node.start()
        assert json.loads(works("topic", "list", "--json", *at).out) == before
        assert {row["topic"]: row["partitions"] for row in before} == {"grown": 4}
        described = works("topic", "describe", "grown", "--json", *at).json
        assert described["configs"]["cleanup.policy"]["own"]


def _last_batch(bootstrap: str, topic: str, offset: int) -> bytes:
    """The batch that holds the offset, as its producer sent it: the leader stamps what lies outside the CRC."""
    place = fetch.FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20)
    wanted = fetch.FetchTopic(topic=topic, partitions=[place])
    request = fetch.FetchRequest(max_wait_ms=1000, min_bytes=1, max_bytes=1 << 20, topics=[wanted])
    [found] = ask(bootstrap, request, 12).responses[0].partitions
    return bytes(8) + bytes(found.records)[8:]


def test_a_batch_that_is_sent_again_is_known_again(tmp_path: Path) -> None:
    """The producer's state is in the WAL and in the footers of segments, not in Redis alone."""
    with CauceProcess(tmp_path, options=["--set", "cauce.flush.interval.ms=20"]) as node:
        written = write(node.bootstrap, "once", _FIRST, **{"enable.idempotence": True, "linger.ms": 0})
        batch = _last_batch(node.bootstrap, "once", written[-1][1])
        for end in (node.kill, node.stop):
            end()
            _lose_redis(tmp_path)
            node.start()
            data = produce.PartitionProduceData(index=0, records=batch)
            topic = produce.TopicProduceData(name="once", partition_data=[data])
            again = produce.ProduceRequest(acks=-1, timeout_ms=10_000, topic_data=[topic])
            [answer] = ask(node.bootstrap, again).responses[0].partition_responses
            assert answer.error_code == 0
            assert answer.base_offset <= written[-1][1]
            assert read(node.bootstrap, "once") == written


def test_two_nodes_on_one_folder(tmp_path: Path) -> None:
    with CauceProcess(tmp_path) as node:
        says = fails_to_start("up", "--data", str(tmp_path), "--listen", "127.0.0.1:0")
        assert says == f"a node is running on the data folder {tmp_path}; stop it, or name another folder"
        assert works("topic", "list", "--json", "-b", node.bootstrap).json == []


def test_a_folder_of_a_newer_release(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text(json.dumps({"version": 99, "node_id": 1}))
    says = fails_to_start("up", "--data", str(tmp_path), "--listen", "127.0.0.1:0")
    assert says.endswith("has format 99, this release knows up to 1; use a newer release")


def test_a_node_behind_a_proxy_listens_where_it_did(tmp_path: Path) -> None:
    listening, advertised = kept_ports(2)
    node = CauceProcess(
        tmp_path, f"127.0.0.1:{listening}", ["--set", f"advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}"]
    )
    for _ in range(2):
        with node:
            assert node.bootstrap == f"127.0.0.1:{advertised}"
            socket.create_connection(("127.0.0.1", listening), timeout=10).close()
