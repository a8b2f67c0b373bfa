"""Users that log in and rules for them: nobody may do anything but super users, until a rule says so."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually, shared_redis
from tests.cauce.commands import fails, works
from tests.security.secured import sets

_USERS = ("admin", "alice", "bob")
_SETTINGS = {
    "authorizer.class.name": "cauce",
    "super.users": "User:admin",
    "listener.security.protocol.map": "MAIN:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    "cauce.users": ",".join(f"{user}={user}-secret" for user in _USERS),
    "group.initial.rebalance.delay.ms": "0",
    "transaction.state.log.num.partitions": "4",
    "offsets.topic.num.partitions": "4",
}
_LISTEN = "MAIN://127.0.0.1:0"
_SECONDS = 60


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CauceProcess]:
    with CauceProcess(tmp_path_factory.mktemp("ruled"), listen=_LISTEN, options=sets(_SETTINGS)) as running:
        yield running


def _as(user: str, node: CauceProcess) -> dict[str, Any]:
    return {
        "bootstrap.servers": node.bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": user,
        "sasl.password": f"{user}-secret",
        "log_level": 0,
    }


def _allow(node: CauceProcess, user: str, operation: AclOperation, kind: ResourceType, name: str) -> None:
    binding = AclBinding(
        kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW
    )
    admin = AdminClient(_as("admin", node))  # its futures end with it
    [made] = admin.create_acls([binding]).values()
    made.result(_SECONDS)


def _new_topic(node: CauceProcess, name: str, partitions: int = 1) -> None:
    admin = AdminClient(_as("admin", node))
    admin.create_topics([NewTopic(name, partitions)])[name].result(_SECONDS)


def _written(user: str, node: CauceProcess, topic: str, **more: Any) -> int:
    """The error code of one produced record, 0 when it was taken."""
    codes: list[int] = []
    producer = Producer({**_as(user, node), "message.timeout.ms": _SECONDS * 1000, **more})
    producer.produce(topic, b"value", on_delivery=lambda error, _: codes.append(error.code() if error else 0))
    producer.flush(_SECONDS)
    return codes[0]


def _code(call: Callable[[], Any]) -> int:
    with pytest.raises(KafkaException) as caught:
        call()
    return int(caught.value.args[0].code())


def test_nobody_but_super_users_may_do_anything_without_rules(node: CauceProcess) -> None:
    _new_topic(node, "closed")
    assert _written("admin", node, "closed") == 0
    assert _written("alice", node, "closed") == KafkaError.TOPIC_AUTHORIZATION_FAILED
    alice = AdminClient(_as("alice", node))
    assert list(alice.list_topics(timeout=_SECONDS).topics) == []
    assert _code(lambda: alice.create_topics([NewTopic("mine", 1)])["mine"].result(_SECONDS)) == (
        KafkaError.TOPIC_AUTHORIZATION_FAILED
    )
    binding = AclBinding(
        ResourceType.TOPIC,
        "closed",
        ResourcePatternType.LITERAL,
        "User:alice",
        "*",
        AclOperation.ALL,
        AclPermissionType.ALLOW,
    )
    [made] = alice.create_acls([binding]).values()
    assert _code(lambda: made.result(_SECONDS)) == KafkaError.CLUSTER_AUTHORIZATION_FAILED
    admin = AdminClient(_as("admin", node))
    assert "closed" in admin.list_topics(timeout=_SECONDS).topics


def test_a_rule_lets_in_whom_it_names_and_nobody_else(node: CauceProcess) -> None:
    _new_topic(node, "orders")
    _allow(node, "alice", AclOperation.WRITE, ResourceType.TOPIC, "orders")
    for more in ({}, {"enable.idempotence": True}, {"acks": 1}):
        assert _written("alice", node, "orders", **more) == 0
        assert _written("bob", node, "orders", **more) != 0
    _allow(node, "bob", AclOperation.READ, ResourceType.TOPIC, "orders")
    settings = {**_as("bob", node), "group.id": "readers", "auto.offset.reset": "earliest"}
    assert _first(settings, "orders") == KafkaError.GROUP_AUTHORIZATION_FAILED
    _allow(node, "bob", AclOperation.READ, ResourceType.GROUP, "readers")
    assert _first(settings, "orders") == b"value"


def _first(settings: dict[str, Any], topic: str) -> bytes | int | None:
    """The first record that a group is given, or the code of what it is told instead."""
    consumer = Consumer(settings)
    try:
        consumer.subscribe([topic])
        message = consumer.poll(_SECONDS)
        assert message is not None
        error = message.error()
        return message.value() if error is None else int(error.code())
    finally:
        consumer.close()


def test_aiokafka_is_let_in_or_refused(node: CauceProcess) -> None:
    _new_topic(node, "aio")
    _allow(node, "alice", AclOperation.ALL, ResourceType.TOPIC, "aio")
    _allow(node, "alice", AclOperation.READ, ResourceType.GROUP, "aio")

    def options(user: str) -> dict[str, Any]:
        return {
            "bootstrap_servers": node.bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": user,
            "sasl_plain_password": f"{user}-secret",
        }

    async def main() -> None:
        async with AIOKafkaProducer(**options("alice")) as producer:
            await producer.send_and_wait("aio", b"value")
        settings = {"group_id": "aio", "auto_offset_reset": "earliest", **options("alice")}
        async with AIOKafkaConsumer("aio", **settings) as consumer:
            assert (await asyncio.wait_for(consumer.getone(), _SECONDS)).value == b"value"
        async with AIOKafkaProducer(**options("bob")) as producer:
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait("aio", b"value")

    asyncio.run(main())


def _properties(folder: Path, user: str) -> str:
    file = folder / f"{user}.properties"
    file.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config="
        f'org.apache.kafka.common.security.plain.PlainLoginModule required username="{user}" '
        f'password="{user}-secret";\n'
    )
    return str(file)


def test_commands_are_let_in_or_refused(node: CauceProcess, tmp_path: Path) -> None:
    as_admin = ("-b", node.bootstrap, "--command-config", _properties(tmp_path, "admin"))
    as_bob = ("-b", node.bootstrap, "--command-config", _properties(tmp_path, "bob"))
    rule = ("acl", "add", "--allow", "User:bob", "-o", "describe", "--cluster")
    assert fails(*rule, *as_bob) == "not allowed"
    works(*rule, *as_admin)
    assert "kafka-cluster" in works("acl", "list", "--cluster", *as_bob).out
    assert fails("quota", "set", "--user", "bob", "--produce", "1", *as_bob) == "not allowed"


@pytest.mark.timeout(400)
def test_nodes_go_by_the_same_rules_and_may_ask_one_another(tmp_path: Path) -> None:
    """Two nodes that lead and one that reads: a transaction over both, and a reader that follows them."""
    more = {"cauce.inter.broker.password": "between-nodes", **_SETTINGS}
    with shared_redis(tmp_path) as redis:

        def started(name: str, role: str) -> CauceProcess:
            options = ["--bucket", (tmp_path / "bucket").as_uri(), "--redis", redis, "--roles", role, *sets(more)]
            return CauceProcess(tmp_path / name, listen=_LISTEN, options=options, command="node")

        with started("one", "ingest") as one, started("two", "ingest") as two, started("reader", "reader") as reader:
            _new_topic(one, "t", 4)
            _allow(one, "alice", AclOperation.ALL, ResourceType.TOPIC, "t")
            _allow(two, "alice", AclOperation.ALL, ResourceType.TRANSACTIONAL_ID, "x")
            _allow(reader, "alice", AclOperation.ALL, ResourceType.GROUP, "g")
            eventually("all nodes know the rules", lambda: all(_lets(one_of) for one_of in (one, two, reader)))
            producer = Producer({**_as("alice", one), "transactional.id": "x"})
            producer.init_transactions(_SECONDS)
            producer.begin_transaction()
            for number in range(40):
                producer.produce("t", b"%d" % number, partition=number % 4)
            producer.commit_transaction(_SECONDS)
            settings = {"group.id": "g", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
            consumer = Consumer({**_as("alice", reader), **settings})
            consumer.subscribe(["t"])
            seen: list[bytes | None] = []

            def all_there() -> bool:
                seen.extend(message.value() for message in consumer.consume(100, 0.5) if not message.error())
                return len(seen) >= 40

            try:
                eventually("the transaction is read", all_there)
            finally:
                consumer.close()
            assert sorted(map(int, filter(None, seen))) == list(range(40))
            assert _written("bob", two, "t") == KafkaError.TOPIC_AUTHORIZATION_FAILED


def _lets(node: CauceProcess) -> bool:
    """Whether this very node lets alice see all that she is allowed."""
    admin = AdminClient(_as("alice", node))
    return "t" in admin.list_topics(timeout=_SECONDS).topics
