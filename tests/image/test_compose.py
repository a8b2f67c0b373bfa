"""compose.yaml: what it says holds together, and its commands, run as processes, are a cluster."""

import shutil
import sys
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.cauce.cluster import eventually, read_all
from tests.image.compose import Composed, composed, seconds, services

_NODES = ("node-1", "node-2", "node-3")


def test_ports_that_are_published_are_advertised() -> None:
    for name in _NODES:
        row = services()[name]
        [published] = row["ports"]
        host, port, inside = published.split(":")
        assert (host, port) == ("127.0.0.1", inside)
        words = dict(zip(row["command"][1::2], row["command"][2::2], strict=True))
        assert words["--listen"] == f"PLAINTEXT://0.0.0.0:9092,HOST://0.0.0.0:{port}"
        assert words["--advertise"] == f"PLAINTEXT://{name}:9092,HOST://localhost:{port}"
        assert seconds(row["stop_grace_period"]) >= 30


def _bootstrap(cluster: Composed) -> str:
    return ",".join(f"{cluster.addresses[name]}:1909{number}" for number, name in enumerate(_NODES, 1))


def _create(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    eventually("three nodes are up", lambda: len(admin.describe_cluster().result(60).nodes) == len(_NODES))
    admin.create_topics([NewTopic("orders", -1)])["orders"].result(60)


def _acknowledged(bootstrap: str, first: int, count: int) -> None:
    refused: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0})
    for number in range(first, first + count):
        producer.produce(
            "orders", b"%d" % number, on_delivery=lambda error, _: refused.append(error) if error else None
        )
    eventually("all are acknowledged", lambda: producer.flush(1) == 0)
    assert not refused


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 without being asked")
@pytest.mark.skipif(shutil.which("wget") is None, reason="the health check of the S3 server is made with wget")
def test_its_commands_are_a_cluster_that_stops_gracefully(tmp_path: Path) -> None:
    with composed(tmp_path) as cluster:
        bootstrap = _bootstrap(cluster)
        _create(bootstrap)
        _acknowledged(bootstrap, 0, 300)
        assert cluster.running["node-2"].stop() == 0
        _acknowledged(bootstrap, 300, 300)
        found = read_all(bootstrap, "orders", 6)
        assert sorted(map(int, found.values())) == list(range(600))
        assert [cluster.running[name].stop() for name in ("node-1", "node-3")] == [0, 0]
