"""What tests of this room share."""

from tests.servers import aws_credentials  # noqa: F401
