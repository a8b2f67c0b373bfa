"""Our own client where a login is asked for: let in, refused with the node's words, and again before it expires."""

import asyncio
from dataclasses import replace

import pytest

from infra.errors import BadStart
from infra.security.client_properties import ClientProperties, parse_properties
from infra.security.client_security import ClientSecurity
from infra.wire.client import Client
from infra.wire.client_connection import NotLetIn
from infra.wire.messages import heartbeat
from tests.security.test_before_authentication import sasl_served
from tests.wire_server.harness import Served

_KIM = ClientProperties(protocol="SASL_PLAINTEXT", mechanism="SCRAM-SHA-256", user="kim", password="right")


async def ask(served: Served, properties: ClientProperties, listener: str = "main", pause_seconds: float = 0) -> None:
    address = served.server.bound[listener]
    async with Client([address], security=ClientSecurity(properties), timeout_seconds=10) as client:
        for _ in range(3):
            await client.call(None, heartbeat.HeartbeatRequest(group_id="g"))
            await asyncio.sleep(pause_seconds)


def test_it_is_let_in_by_each_mechanism() -> None:
    async def scenario() -> None:
        async with sasl_served() as served:
            await ask(served, _KIM)
            await ask(served, replace(_KIM, mechanism="PLAIN"))

    asyncio.run(scenario())


def test_refusals_say_why() -> None:
    async def scenario() -> None:
        async with sasl_served() as served:
            with pytest.raises(NotLetIn, match="invalid credentials with SASL mechanism SCRAM-SHA-256"):
                await ask(served, replace(_KIM, password="wrong"))
            with pytest.raises(NotLetIn, match="SCRAM-SHA-512; it offers PLAIN, SCRAM-SHA-256"):
                await ask(served, replace(_KIM, mechanism="SCRAM-SHA-512"))
            with pytest.raises(NotLetIn, match="it has no SASL there"):
                await ask(served, _KIM, listener="plain")

    asyncio.run(scenario())


def test_it_proves_itself_again_before_its_time_is_over() -> None:
    async def scenario() -> None:
        async with sasl_served(max_lifetime_seconds=1.5) as served:
            await ask(served, _KIM, pause_seconds=1.3)
            assert len(served.server._channels) <= 1
            assert served.server._traffic._last_id == 1, "it was one connection all the time"

    asyncio.run(scenario())


def test_properties_of_java_and_of_librdkafka() -> None:
    java = """
    # for kafka-topics.sh
    security.protocol=SASL_SSL
    sasl.mechanism=SCRAM-SHA-512
    sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\
        username="kim" \\
        password="it\\"s; =";
    ssl.truststore.type=PEM
    ssl.truststore.location=/ca.pem
    acks=all
    """
    other = """
    security.protocol=sasl_ssl
    sasl.mechanisms=SCRAM-SHA-512
    sasl.username=kim
    sasl.password=it"s; =
    ssl.ca.location=/ca.pem
    """
    one, two = (ClientProperties.parse(parse_properties(text)) for text in (java, other))
    assert one == two
    assert "it" not in repr(one)
    assert one.librdkafka() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "kim",
        "sasl.password": 'it"s; =',
        "ssl.ca.location": "/ca.pem",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("security.protocol=TLS", "is none of PLAINTEXT"),
        ("security.protocol=SASL_SSL", r"sasl.mechanism=\(nothing\) is none of"),
        ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN", "give sasl.username and sasl.password"),
        ("security.protocol=SSL\nssl.truststore.type=JKS", "only PEM is taken"),
        ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=kim:secret", "is not MODULE required"),
        ("security protocol SSL", "is not NAME=VALUE"),
    ],
)
def test_properties_that_make_no_sense(text: str, says: str) -> None:
    with pytest.raises(BadStart, match=says) as caught:
        ClientProperties.parse(parse_properties(text))
    assert "secret" not in str(caught.value)
