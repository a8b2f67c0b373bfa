"""Quotas end to end: clients are told to wait, and get no more than their rate; others wait for nothing."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, ThrottleEvent, TopicPartition

from infra.wire.client import Client
from infra.wire.messages import metadata
from tests.cauce.commands import fails, works
from tests.cauce.wire import make_topic

_RATE = 200_000  # bytes a second
_VALUE = b"v" * 20_000
_RECORDS = 40  # four seconds' worth: one of them at once


@pytest.fixture
def slow(cauce_bootstrap: str) -> Iterator[str]:
    """A client id with quotas."""
    at = ("--bootstrap", cauce_bootstrap)
    works("quota", "set", "--client-id", "slow", "--produce", str(_RATE), "--consume", str(_RATE), *at)
    yield "slow"
    works("quota", "remove", "--client-id", "slow", *at)


def _produce(bootstrap: str, topic: str, client_id: str) -> tuple[float, list[ThrottleEvent]]:
    """Seconds that it took, and what the client was told."""
    told: list[ThrottleEvent] = []
    settings = {"bootstrap.servers": bootstrap, "client.id": client_id, "batch.size": 60_000, "linger.ms": 5}
    producer = Producer({**settings, "throttle_cb": told.append, "enable.idempotence": True})
    begun = time.monotonic()
    for _ in range(_RECORDS):
        producer.produce(topic, _VALUE)
    assert producer.flush(60) == 0
    return time.monotonic() - begun, told


def test_a_producer_is_held_to_its_rate(cauce_bootstrap: str, slow: str) -> None:
    make_topic(cauce_bootstrap, "throttled-produce")
    seconds, told = _produce(cauce_bootstrap, "throttled-produce", slow)
    last = 60_000 + len(_VALUE)  # nobody waits for the answer to the last batch, but for those before
    assert len(_VALUE) * _RECORDS - last <= _RATE * (seconds + 1)
    assert any(event.throttle_time > 0 for event in told)
    _, told = _produce(cauce_bootstrap, "throttled-produce", "quick")
    assert not any(event.throttle_time > 0 for event in told)


def test_a_consumer_is_held_to_its_rate(cauce_bootstrap: str, slow: str) -> None:
    make_topic(cauce_bootstrap, "throttled-consume")
    _produce(cauce_bootstrap, "throttled-consume", "quick")
    told: list[ThrottleEvent] = []
    consumer = Consumer(
        {
            "bootstrap.servers": cauce_bootstrap,
            "client.id": slow,
            "group.id": "throttled",
            "auto.offset.reset": "earliest",
            "throttle_cb": told.append,
        }
    )
    try:
        begun = time.monotonic()
        consumer.assign([TopicPartition("throttled-consume", 0, 0)])
        messages = []
        while len(messages) < _RECORDS and time.monotonic() < begun + 60:
            messages += consumer.consume(_RECORDS, 0.5)
        seconds = time.monotonic() - begun
    finally:
        consumer.close()
    assert [message.value() for message in messages] == [_VALUE] * _RECORDS
    last = _RATE  # what one answer holds, for which nobody waits
    assert len(_VALUE) * _RECORDS - last <= _RATE * (seconds + 1)
    assert any(event.throttle_time > 0 for event in told)


def test_a_client_that_takes_too_much_of_the_loop_must_wait(cauce_bootstrap: str) -> None:
    at = ("--bootstrap", cauce_bootstrap)
    works("quota", "set", "--user", "ANONYMOUS", "--client-id", "busy", "--request", "0.001", *at)

    async def ask(client_id: str) -> list[int]:
        async with Client(cauce_bootstrap, client_id=client_id) as client:
            request = metadata.MetadataRequest(topics=None)
            answers = [await client.call(None, request) for _ in range(3)]
            return [answer.throttle_time_ms for answer in answers]

    try:
        assert max(asyncio.run(ask("busy"))) > 0
        assert asyncio.run(ask("idle")) == [0, 0, 0]
    finally:
        works("quota", "remove", "--user", "ANONYMOUS", "--client-id", "busy", *at)


def test_quotas_by_command(cauce_bootstrap: str) -> None:
    at = ("--bootstrap", cauce_bootstrap)
    works("quota", "set", "--user", "<default>", "--consume", "1e9", *at)
    listed = works("quota", "list", "--json", *at).json
    assert {"user": "<default>", "client_id": None, "consumer_byte_rate": 1e9} in [
        {key: value for key, value in row.items() if value is not None or key == "client_id"} for row in listed
    ]
    works("quota", "remove", "--user", "<default>", *at)
    assert works("quota", "list", *at).out.strip() == "there are no quotas"
    assert "whole number" in fails("quota", "set", "--user", "a", "--produce", "1.5", *at)
    assert "for whom" in fails("quota", "set", "--produce", "1", *at)
