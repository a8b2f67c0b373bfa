from tests.servers import aws_credentials, moto_server  # noqa: F401
