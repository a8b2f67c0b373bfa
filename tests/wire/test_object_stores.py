"""Every case once more on buckets behind a real S3 API: an everyday one in memory, and SeaweedFS as a persistent one.

What a client sees must not depend on where the bucket lies. Afterwards the bucket itself is opened, as a data lake
would open it: its batch segments are Parquet.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet
import pytest

from cauce.testing import CauceProcess
from tests.servers import S3Server, aws_credentials, moto_server, seaweed_server  # noqa: F401
from tests.wire.cases import CASES
from tests.wire.client import LeftOut, Sent
from tests.wire.confluent_client import ConfluentClient

_PREFIX = "wire"
_SETTINGS = {
    "cauce.durability": "object",
    "cauce.flush.interval.ms": "20",  # every acknowledgement waits for a flush
    "group.initial.rebalance.delay.ms": "0",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
}


@dataclass(frozen=True)
class StoredNode:
    """A running node and the S3 server that has its bucket."""

    server: S3Server
    process: CauceProcess
    client: ConfluentClient


@pytest.fixture(scope="module", params=["moto_server", "seaweed_server"])
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredNode]:
    server: S3Server = request.getfixturevalue(request.param)
    settings = {**_SETTINGS, "cauce.bucket": server.url(_PREFIX)}
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    data: Path = tmp_path_factory.mktemp("node")
    with CauceProcess(data, options=options) as process:
        yield StoredNode(server, process, ConfluentClient(process.bootstrap))
        assert process.running, f"the node ended:\n{process.output}"
    assert not (data / "bucket").exists(), "the node kept a bucket of its own"


@pytest.mark.parametrize("case", CASES)
def test_case(node: StoredNode, case: str) -> None:
    try:
        CASES[case](node.client, case.replace("_", "-"))
    except LeftOut as reason:
        pytest.skip(str(reason))


def test_batch_segments_in_the_bucket_are_parquet(node: StoredNode) -> None:
    node.client.create_topic("seen-in-the-bucket")
    node.client.produce("seen-in-the-bucket", [Sent(b"value", b"key")])

    tables = [pyarrow.parquet.read_table(io.BytesIO(body)) for body in _batch_segments(node.server)]

    assert tables
    assert all(table.num_rows > 0 and "records" in table.column_names for table in tables)


def _batch_segments(server: S3Server) -> list[bytes]:
    """The contents of all objects below `batches/`."""
    s3: Any = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=server.bucket, Prefix=f"{_PREFIX}/batches/")
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    return [s3.get_object(Bucket=server.bucket, Key=key)["Body"].read() for key in keys]
