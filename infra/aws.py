"""Sessions and clients of AWS are made here, and nowhere else. Credentials come from the usual AWS chain.

The libraries take seconds to import, so they are imported when the first client is made. A custom endpoint comes from
the bucket's URL, else from botocore's own settings (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, the AWS config file).
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How to reach a service of AWS or one that speaks like it."""

    endpoint: str | None = None  # URL; None is AWS itself, or what botocore's settings say
    region: str | None = None  # None: from the AWS chain
    connections: int = 64  # in the pool
    connect_seconds: float = 3.0
    read_seconds: float = 15.0  # without a byte


async def s3_client(options: ClientOptions) -> AbstractAsyncContextManager[Any]:
    """An S3 client to enter. It retries nothing: the store's adapter does, and knows what a repeated PUT means."""
    return await asyncio.to_thread(_s3_client, options)


def _s3_client(options: ClientOptions) -> AbstractAsyncContextManager[Any]:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(
        connect_timeout=options.connect_seconds,
        read_timeout=options.read_seconds,
        max_pool_connections=options.connections,
        retries={"mode": "standard", "total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if options.endpoint else "auto",  # a lone server has no name for each bucket
            "payload_signing_enabled": False,  # over TLS; botocore signs all the same over plain HTTP
        },
    )
    client: AbstractAsyncContextManager[Any] = get_session().create_client(
        "s3", region_name=options.region, endpoint_url=options.endpoint, config=config
    )
    return client
