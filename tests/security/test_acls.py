"""Access rules end to end: a real node, rules made by AdminClient, and clients that are let in or refused."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from cauce.testing import CauceProcess
from tests.cauce.commands import fails, works

_EVERYBODY = "User:ANONYMOUS"
_OPTIONS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "cauce.audit": "all",
    "group.initial.rebalance.delay.ms": "0",
}


@pytest.fixture(scope="module")
def node() -> Iterator[CauceProcess]:
    """A node that lets everybody do everything to what no rule is about; of the cluster there is one."""
    options = [word for name, value in _OPTIONS.items() for word in ("--set", f"{name}={value}")]
    with tempfile.TemporaryDirectory(prefix="cauce-") as folder, CauceProcess(Path(folder), options=options) as running:
        yield running


@pytest.fixture
def admin(node: CauceProcess) -> AdminClient:
    return AdminClient({"bootstrap.servers": node.bootstrap})


def _binding(
    name: str,
    operation: AclOperation,
    permission: AclPermissionType = AclPermissionType.ALLOW,
    kind: ResourceType = ResourceType.TOPIC,
    pattern: ResourcePatternType = ResourcePatternType.LITERAL,
    principal: str = _EVERYBODY,
) -> AclBinding:
    return AclBinding(kind, name, pattern, principal, "*", operation, permission)


def _add(admin: AdminClient, *bindings: AclBinding) -> None:
    for future in admin.create_acls(list(bindings)).values():
        future.result(30)


def _new_topic(admin: AdminClient, name: str) -> str:
    admin.create_topics([NewTopic(name, 1)])[name].result(30)
    return name


def _produce(node: CauceProcess, topic: str, **settings: Any) -> KafkaError | None:
    """What became of one record."""
    found: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": node.bootstrap, "message.timeout.ms": 30_000, **settings})
    producer.produce(topic, b"value", on_delivery=lambda error, _: found.append(error))
    producer.flush(30)
    return found[0]


def _fetched(node: CauceProcess, topic: str, group: str = "free") -> KafkaError | bytes | None:
    """The first record of a topic, or why there is none."""
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None:
                return message.error() or message.value()
        return None
    finally:
        consumer.close()


def _error_of(call: Callable[[], Any]) -> int:
    with pytest.raises(KafkaException) as caught:
        call()
    return int(caught.value.args[0].code())


def test_rules_are_created_found_and_deleted(admin: AdminClient) -> None:
    star = _binding("found", AclOperation.READ, principal="User:*")
    prefix = _binding(
        "fou", AclOperation.WRITE, AclPermissionType.DENY, pattern=ResourcePatternType.PREFIXED, principal="User:bob"
    )
    _add(admin, star, prefix)
    _add(admin, star)  # what is there already is no error
    anything = (AclOperation.ANY, AclPermissionType.ANY)

    def find(name: str | None, pattern: ResourcePatternType) -> list[AclBinding]:
        wanted = AclBindingFilter(ResourceType.TOPIC, name, pattern, None, None, *anything)
        return list(admin.describe_acls(wanted).result(30))

    assert find("found", ResourcePatternType.LITERAL) == [star]
    assert sorted(acl.name for acl in find("found", ResourcePatternType.MATCH)) == ["fou", "found"]
    gone = AclBindingFilter(ResourceType.TOPIC, "found", ResourcePatternType.MATCH, None, None, *anything)
    [future] = admin.delete_acls([gone]).values()
    assert {acl.name for acl in future.result(30)} == {"fou", "found"}
    assert find("found", ResourcePatternType.MATCH) == []


def test_a_rule_that_could_not_be_obeyed_is_refused(admin: AdminClient) -> None:
    wrong = _binding("x", AclOperation.READ, principal="nobody")
    [future] = admin.create_acls([wrong]).values()
    assert _error_of(lambda: future.result(30)) == KafkaError.INVALID_REQUEST


def test_producers_are_let_in_or_refused(node: CauceProcess, admin: AdminClient) -> None:
    topic = _new_topic(admin, "produced")
    assert _produce(node, topic) is None
    _add(admin, _binding(topic, AclOperation.READ))
    error = _produce(node, topic)
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    _add(admin, _binding(topic, AclOperation.WRITE))
    assert _produce(node, topic) is None
    _add(admin, _binding("prod", AclOperation.WRITE, AclPermissionType.DENY, pattern=ResourcePatternType.PREFIXED))
    error = _produce(node, topic)
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_consumers_are_let_in_or_refused(node: CauceProcess, admin: AdminClient) -> None:
    topic = _new_topic(admin, "consumed")
    assert _produce(node, topic) is None
    assert _fetched(node, topic) == b"value"
    _add(admin, _binding(topic, AclOperation.DESCRIBE))
    refused = _fetched(node, topic)
    assert isinstance(refused, KafkaError)
    assert refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    _add(admin, _binding(topic, AclOperation.READ))
    assert _fetched(node, topic) == b"value"


def test_a_consumer_that_fetches_already_is_refused_by_a_new_rule(node: CauceProcess, admin: AdminClient) -> None:
    topic = _new_topic(admin, "taken-away")
    assert _produce(node, topic) is None
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "free", "auto.offset.reset": "earliest"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        assert consumer.consume(1, 30)[0].value() == b"value"
        _add(admin, _binding(topic, AclOperation.READ, AclPermissionType.DENY))
        [refused] = consumer.consume(1, 30)
        assert refused.error().code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    finally:
        consumer.close()


def test_groups_are_let_in_or_refused(node: CauceProcess, admin: AdminClient) -> None:
    topic = _new_topic(admin, "grouped")
    assert _produce(node, topic) is None
    _add(admin, _binding("closed-group", AclOperation.READ, AclPermissionType.DENY, ResourceType.GROUP))
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "closed-group"})
    try:
        consumer.subscribe([topic])
        message = consumer.poll(30)
        assert message is not None
        assert message.error().code() == KafkaError.GROUP_AUTHORIZATION_FAILED
    finally:
        consumer.close()


def test_transactional_ids_are_let_in_or_refused(node: CauceProcess, admin: AdminClient) -> None:
    topic = _new_topic(admin, "transacted")
    _add(admin, _binding("closed-id", AclOperation.WRITE, AclPermissionType.DENY, ResourceType.TRANSACTIONAL_ID))
    refused = Producer({"bootstrap.servers": node.bootstrap, "transactional.id": "closed-id"})
    assert _error_of(lambda: refused.init_transactions(30)) == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    allowed = Producer({"bootstrap.servers": node.bootstrap, "transactional.id": "open-id"})
    allowed.init_transactions(30)
    allowed.begin_transaction()
    allowed.produce(topic, b"value")
    allowed.commit_transaction(30)


def test_hidden_topics_are_not_listed_described_or_altered(node: CauceProcess, admin: AdminClient) -> None:
    topic = _new_topic(admin, "hidden")
    assert topic in admin.list_topics(timeout=30).topics
    _add(admin, _binding(topic, AclOperation.ALL, AclPermissionType.DENY))
    assert topic not in admin.list_topics(timeout=30).topics
    known = admin.list_topics(topic, timeout=30).topics[topic]
    assert known.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert not known.partitions
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    [configs] = admin.describe_configs([resource]).values()
    assert _error_of(lambda: configs.result(30)) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    [deleted] = admin.delete_topics([topic]).values()
    assert _error_of(lambda: deleted.result(30)) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    [again] = admin.create_topics([NewTopic("hidden-too", 1)]).values()
    again.result(30)  # other topics are as they were


def test_the_audit_log_tells_what_was_refused_and_what_was_changed(node: CauceProcess, admin: AdminClient) -> None:
    topic = _new_topic(admin, "audited")
    _add(admin, _binding(topic, AclOperation.DESCRIBE))
    assert _produce(node, topic) is not None
    rows = [json.loads(line) for line in node.output.splitlines() if line.startswith('{"time"')]
    told = {(row["api"], row["operation"], row["resource"], row["allowed"]) for row in rows}
    assert ("produce", "WRITE", topic, False) in told
    assert ("create_acls", "ALTER", "kafka-cluster", True) in told
    assert {row["principal"] for row in rows} == {_EVERYBODY}


def test_rules_by_command(node: CauceProcess) -> None:
    at = ("--bootstrap", node.bootstrap)
    said = ("--operation", "read", "--topic", "by-command", "--prefix", *at)
    works("acl", "add", "--allow", "User:carol", *said)
    listed = works("acl", "list", "--topic", "by-command-1", "--json", *at)
    assert [(row["name"], row["principal"]) for row in listed.json] == [("by-command", "User:carol")]
    assert "User:carol" in works("acl", "remove", "--topic", "by-command", "--prefix", *at).out
    assert works("acl", "list", "--principal", "User:carol", "--json", *at).json == []
    assert "User:NAME" in fails("acl", "add", "--allow", "carol", *said)
