"""Fixtures of the tests of what is asked of AWS."""

from collections.abc import Iterator

import pytest

from tests.servers import aws_credentials, moto_server

__all__ = ["aws_credentials", "mocked_aws", "moto_server"]


@pytest.fixture
def mocked_aws(aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """boto3 answered within this process; it opens no connection."""
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # many seconds for what nobody asks here
    from moto import mock_aws

    with mock_aws():
        yield
