"""Fixtures of the contract suites."""

from tests.servers import aws_credentials, moto_server, seaweed_server

__all__ = ["aws_credentials", "moto_server", "seaweed_server"]
