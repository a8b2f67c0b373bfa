"""A node in an ECS task tells clients the task's address and zone, though its settings name neither."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from cauce.testing import CauceProcess
from tests.aws.ecs_metadata import container, metadata_server, task
from tests.cauce.cluster import shared_redis
from tests.servers import S3Server


def test_a_node_that_was_told_nothing(tmp_path: Path, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    answers = {"": container("127.0.0.1"), "/task": task()}
    with metadata_server(answers) as url, shared_redis(tmp_path) as redis:
        options = ["--bucket", (tmp_path / "bucket").as_uri(), "--redis", redis]
        environment = {"ECS_CONTAINER_METADATA_URI_V4": url, "AWS_ENDPOINT_URL_EC2": moto_server.endpoint}
        with CauceProcess(tmp_path / "node", "0.0.0.0:0", options, "node", environment) as node:
            assert node.bootstrap.startswith("127.0.0.1:")
            admin = AdminClient({"bootstrap.servers": node.bootstrap})
            found = admin.describe_cluster().result(30)
            assert [(one.host, one.rack[:7]) for one in found.nodes] == [("127.0.0.1", "use1-az")]
