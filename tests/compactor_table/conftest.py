"""Fixtures of the tables' tests."""

from tests.servers import aws_credentials, moto_server

__all__ = ["aws_credentials", "moto_server"]
