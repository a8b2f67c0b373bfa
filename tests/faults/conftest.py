"""Fixtures of the fault tests."""

from tests.servers import aws_credentials, seaweed_server

__all__ = ["aws_credentials", "seaweed_server"]
