"""Nodes with one role: what a compactor alone is to clients, and what a node that does not lead needs."""

import json
import re
import urllib.request
from pathlib import Path

import psutil
from confluent_kafka.admin import AdminClient

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually, shared_redis
from tests.cauce.commands import fails


def test_a_compactor_alone_serves_no_client(tmp_path: Path) -> None:
    with shared_redis(tmp_path) as redis:
        options = ["--bucket", (tmp_path / "bucket").as_uri(), "--redis", redis]
        fast = ["--set", "cauce.compaction.interval.ms=100"]
        leader = CauceProcess(tmp_path / "leader", options=[*options, "--roles", "ingest"], command="node")
        compactor = CauceProcess(
            tmp_path / "compactor", options=[*options, *fast, "--roles", "compactor"], command="node"
        )
        with leader, compactor:
            assert "running without listeners" in compactor.output
            [http] = re.findall(r"health and metrics on (http://\S+)", compactor.output)
            assert json.loads(urllib.request.urlopen(f"{http}/readyz").read()) == {"status": "ready"}
            process = psutil.Process(compactor.pid)
            eventually("its process runs", lambda: [one for one in process.children() if "compactor" in one.cmdline()])
            listening = {one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
            assert listening == {int(http.rpartition(":")[2])}
            metadata = AdminClient({"bootstrap.servers": leader.bootstrap}).list_topics(timeout=10)
            assert len(metadata.brokers) == 1
            assert compactor.stop() == 0, compactor.output


def test_a_node_that_does_not_lead_needs_the_redis_of_a_cluster(tmp_path: Path) -> None:
    words = ("up", "--data", str(tmp_path), "--listen", "127.0.0.1:0", "--set", "cauce.roles=reader")
    assert "cauce.redis" in fails(*words)
