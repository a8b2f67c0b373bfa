"""Requests to a running node in the words of the protocol, for what no client library lets one say."""

import asyncio
from typing import Any

from infra.error_code import ErrorCode
from infra.wire.client import Client
from infra.wire.messages import create_topics

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32  # resource types


def ask(bootstrap: str, request: Any, version: int | None = None) -> Any:
    """The answer to one request, over a connection of its own."""

    async def call() -> Any:
        async with Client(bootstrap) as client:
            return await client.call(None, request, version=version)

    return asyncio.run(call())


def make_topic(bootstrap: str, name: str, partitions: int = 1, **configs: str) -> create_topics.CreatableTopicResult:
    """Create a topic; configs with underscores for dots."""
    rows = [
        create_topics.CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()
    ]
    topic = create_topics.CreatableTopic(name=name, num_partitions=partitions, replication_factor=-1, configs=rows)
    response = ask(bootstrap, create_topics.CreateTopicsRequest(topics=[topic]))
    result: create_topics.CreatableTopicResult = response.topics[0]
    assert result.error_code == ErrorCode.NONE, result.error_message
    return result
