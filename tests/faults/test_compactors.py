"""Two compactors on one partition: each replace has one winner, and readers never see anything else than the log."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from cauce.testing import CauceProcess
from tests.cauce.cluster import ThreeNodes, eventually, nodes_on, read_all, shared_redis
from tests.cauce.test_compaction import compactor_of
from tests.faults.load import load

_PARTITIONS = 8
_SETTINGS = {
    "cauce.durability": "object",
    "cauce.flush.interval.ms": "20",
    "cauce.compaction.interval.ms": "100",
    "cauce.compaction.bytes": "1",
    "cauce.compaction.age.ms": "0",
}


@contextmanager
def _held_up(node: CauceProcess, url: str) -> Iterator[None]:
    """The node's compactor is paused again and again in the midst of its work, and its lease of that is forgotten."""
    over = threading.Event()

    def hold_up() -> None:
        with redis.Redis.from_url(url, protocol=2) as client:
            while not over.wait(0.3):
                compactor = compactor_of(node)
                if compactor is None:
                    continue
                compactor.suspend()
                for key in client.scan_iter(match="*work*"):
                    client.delete(key)
                over.wait(1.5)
                compactor.resume()

    thread = threading.Thread(target=hold_up)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _lost_races(cluster: ThreeNodes) -> int:
    lines = [line for node in cluster.nodes for line in node.output.splitlines()]
    return sum("another compactor changed" in line or "gave up, version" in line for line in lines)


@pytest.mark.timeout(300)
def test_two_compactors_on_the_same_partitions() -> None:
    with tempfile.TemporaryDirectory(prefix="cauce-") as name, shared_redis(Path(name)) as url:
        with nodes_on(Path(name), (Path(name) / "bucket").as_uri(), url, _SETTINGS, count=2) as cluster:
            cluster.create_topic("both", _PARTITIONS)
            with load(cluster.bootstrap, _PARTITIONS, "both") as (producer,), _held_up(cluster.nodes[0], url):
                eventually("one has lost a race", lambda: _lost_races(cluster))
                producer.await_each(range(_PARTITIONS))
            first = read_all(cluster.nodes[0].bootstrap, "both", _PARTITIONS)
            assert first == read_all(cluster.nodes[1].bootstrap, "both", _PARTITIONS)
