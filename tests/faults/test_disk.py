"""A disk without space: producers wait, reads go on; once there is room, so does the rest."""

from pathlib import Path

import pytest

from tests.cauce.cluster import eventually
from tests.chaos.node_party import Disk
from tests.chaos.redis_party import RedisParty
from tests.faults.load import load, still_reads
from tests.faults.parts import TOPICS, node
from tests.servers import S3Server


@pytest.mark.timeout(300)
def test_a_full_disk(tmp_path: Path, seaweed_server: S3Server) -> None:
    (tmp_path / "node").mkdir()
    disk, redis = Disk(tmp_path / "node"), RedisParty(tmp_path)
    if not disk.mounted:
        pytest.skip("a small disk cannot be mounted here; `python -m tests.chaos --only disk-full` makes a namespace")
    redis.start()
    settings = {"cauce.bucket": seaweed_server.url("disk"), "cauce.redis": f"redis://127.0.0.1:{redis.port}"}
    try:
        with node(tmp_path / "node" / "data", settings, "node") as running:
            with load(running.bootstrap, 1, *TOPICS) as producers:
                disk.fill(running)
                eventually("the node says so", lambda: "the WAL's disk is full" in running.output)
                for topic, producer in zip(TOPICS, producers, strict=True):
                    still_reads(running.bootstrap, topic, producer)
                disk.free(running)
                for producer in producers:
                    producer.await_more(200)
    finally:
        redis.kill()
        disk.close()
