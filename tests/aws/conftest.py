"""Fixtures of the tests of what is asked of AWS."""

import contextlib
import os
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.servers import S3Server, aws_credentials, mocked_aws, moto_server

__all__ = ["aws_credentials", "localstack", "mocked_aws", "moto_server"]


@pytest.fixture
def localstack(aws_credentials: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """A server that LOCALSTACK_HOST names: moto's, or the one that `python -m tests.aws` has started."""
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    given = os.environ.get("TEST_LOCALSTACK_HOST", "")
    server: S3Server = S3Server(f"http://{given}") if given else request.getfixturevalue("moto_server")
    monkeypatch.setenv("LOCALSTACK_HOST", urlsplit(server.endpoint).netloc)
    if given:
        _make_bucket(server)
    return server


def _make_bucket(server: S3Server) -> None:
    import boto3
    from botocore.exceptions import ClientError

    s3: Any = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    with contextlib.suppress(ClientError):  # the test before has made it
        s3.create_bucket(Bucket=server.bucket)
