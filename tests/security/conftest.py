"""What tests of this room share."""

from tests.servers import aws_credentials, mocked_aws  # noqa: F401
