"""A node, its table in Glue, and a task on ECS where LOCALSTACK_HOST alone says where AWS is."""

import asyncio
from pathlib import Path

import pytest
from pyiceberg.catalog import load_catalog

from infra.aws_ecs import EcsTask, zone_id
from tests.cauce.commands import ends
from tests.compactor.bucket import in_loop
from tests.compactor_table.world import kept, rows_of
from tests.servers import S3Server


@in_loop
async def test_a_table_in_glue(localstack: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    async with kept(localstack.url(tmp_path.name), tmp_path) as cluster:
        cluster.catalog = {"type": "glue"}
        await cluster.restart()
        topic = await cluster.create("localstack")  # whoever else has tables in this Glue calls them otherwise
        await cluster.write(topic, 3, 4)
        await cluster.follow(topic)
        where = {"type": "glue", "glue.endpoint": localstack.endpoint}
        table = await asyncio.to_thread(
            lambda: load_catalog("cauce", **where, **cluster.access()).load_table(("cauce", topic.name))
        )
        assert rows_of(table) == await cluster.rows(topic)


def test_the_doctor_and_a_zone(localstack: S3Server, tmp_path: Path) -> None:
    assert zone_id(EcsTask("", "us-east-1a", "us-east-1")).startswith("use1-az")
    words = ["--bucket", f"s3://{localstack.bucket}/doctor?region=us-east-1", "--data", str(tmp_path), "--json"]
    done = ends("doctor", *words, "--listen", "127.0.0.1:0")
    assert done.code == 0, done
    states = {row["check"]: row["state"] for row in done.json}
    assert states["credentials"] == states["bucket: conditional writes"] == "ok"
