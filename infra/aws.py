"""Sessions, clients and endpoints of AWS are made here, and nowhere else. Credentials come from the usual AWS chain.

The libraries take seconds to import, so they are imported when the first client is made. Where a service is, in this
order: what the caller was given (the bucket's URL); LocalStack, or what speaks like it, when `LOCALSTACK_HOST` is set;
botocore's own settings (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, the AWS config file); AWS.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from infra.errors import BadStart

_LOCALSTACK = "LOCALSTACK_HOST"  # the variable that localstack-client reads, HOST or HOST:PORT
_SECRET_HELP = {
    "ResourceNotFoundException": "there is no such secret in that region: check the ARN",
    "AccessDeniedException": "the role may not read it: grant secretsmanager:GetSecretValue on its ARN, and "
    "kms:Decrypt when it has a key of its own",
    "DecryptionFailure": "its KMS key cannot be used: grant the role kms:Decrypt on it",
    "InvalidRequestException": "it is marked for deletion: restore it, or name another",
}
_BAD_LOGIN = frozenset(
    {"ExpiredTokenException", "InvalidClientTokenId", "InvalidSignatureException", "UnrecognizedClientException"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How to reach a service of AWS or one that speaks like it."""

    endpoint: str | None = None  # URL; None: LocalStack or what botocore says, as above
    region: str | None = None  # None: from the AWS chain
    connections: int = 64  # in the pool
    connect_seconds: float = 3.0
    read_seconds: float = 15.0  # without a byte


async def s3_client(options: ClientOptions) -> AbstractAsyncContextManager[Any]:
    """An S3 client to enter. It retries nothing: the store's adapter does, and knows what a repeated PUT means."""
    return await asyncio.to_thread(_s3_client, options)


def client(service: str, options: ClientOptions | None = None) -> Any:
    """A boto3 client, for whoever may block: not on an event loop. It retries what AWS says may be retried.

    Raises `BadStart` when there is no region to ask in.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    options = options or ClientOptions()
    config = Config(
        connect_timeout=options.connect_seconds,
        read_timeout=options.read_seconds,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    try:
        return boto3.session.Session().client(
            service, region_name=options.region, endpoint_url=options.endpoint or endpoint(service), config=config
        )
    except (BotoCoreError, ValueError) as error:  # no region, an unknown profile, an endpoint that is no URL
        raise BadStart(f"AWS {service} cannot be reached: {error}; set AWS_REGION, or mend the AWS config") from error


def endpoint(service: str) -> str | None:
    """URL of a service at LocalStack, or what speaks like it; None where botocore shall decide.

    For libraries that make clients of their own. Raises `BadStart`.
    """
    if not os.environ.get(_LOCALSTACK):
        return None
    from localstack_client.config import get_service_endpoint

    try:
        found: str | None = get_service_endpoint(service)
    except RuntimeError as error:
        raise BadStart(f"{_LOCALSTACK} is not HOST or HOST:PORT: {error}") from None
    return found


def secret_value(arn: str) -> str:
    """The text of a secret in AWS Secrets Manager, by its ARN (or its name, in the chain's own region).

    Blocks. Raises `BadStart` saying what to do; neither it nor a log repeats the text.
    """
    with _refusals(arn):
        found = client("secretsmanager", ClientOptions(region=region_of(arn))).get_secret_value(SecretId=arn)
    if "SecretString" not in found:
        raise BadStart(f"the secret {arn} holds bytes and no text: store it as SecretString")
    return str(found["SecretString"])


def region_of(arn: str) -> str | None:
    """The fourth word of an ARN, None where it has none."""
    words = arn.split(":")
    return words[3] or None if words[0] == "arn" and len(words) > 3 else None


@contextmanager
def _refusals(arn: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        login = "the AWS credentials are not taken: renew them" if code in _BAD_LOGIN else None
        raise BadStart(
            f"the secret {arn} cannot be read ({code}): {_SECRET_HELP.get(code) or login or error}"
        ) from error
    except BotoCoreError as error:  # no credentials, no connection
        raise BadStart(
            f"the secret {arn} cannot be read: {error}; check credentials, region, and the way to Secrets Manager"
        ) from error


def _s3_client(options: ClientOptions) -> AbstractAsyncContextManager[Any]:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    url = options.endpoint or endpoint("s3")
    config = AioConfig(
        connect_timeout=options.connect_seconds,
        read_timeout=options.read_seconds,
        max_pool_connections=options.connections,
        user_agent="cauce",  # botocore's own tells more, and is put together anew for every request
        retries={"mode": "standard", "total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if url else "auto",  # a lone server has no name for each bucket
            "payload_signing_enabled": False,  # over TLS; botocore signs all the same over plain HTTP
        },
    )
    session = get_session()
    # Else it looks into the folders of all four hundred services, twice: a tenth of a second of a node's start.
    session.get_component("data_loader").list_available_services = lambda type_name: ["s3"]
    plain = url is not None and url.startswith("http://")
    made: AbstractAsyncContextManager[Any] = session.create_client(
        "s3",
        region_name=options.region,
        endpoint_url=url,
        config=config,
        verify=False if plain else None,  # who speaks plain text need not read all authorities at each start
    )
    return made
