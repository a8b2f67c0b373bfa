"""compose.yaml with compose.secure.yaml over it lets the wire suite pass, by a user who may do that and no more."""

import shutil
import sys
from collections.abc import Callable, Iterator

import pytest
from kafka.errors import KafkaTimeoutError

from infra.error_code import ErrorCode
from tests.image.secure_cluster import MECHANISMS, NODES, USER, WITHOUT_RULES, SecureCluster, secure_cluster
from tests.security.secured import librdkafka, refusal
from tests.wire.aiokafka_client import AiokafkaClient
from tests.wire.cases import CASES, refused
from tests.wire.client import Client, LeftOut, RefusedByServer, Security, Sent
from tests.wire.compatibility import PASS
from tests.wire.confluent_client import ConfluentClient
from tests.wire.kafka_python_client import KafkaPythonClient
from tests.wire.peers import PEERS, Absent, Peer, run_suite

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 without being asked"),
    pytest.mark.skipif(shutil.which("wget") is None, reason="the health check of the S3 server is made with wget"),
]

_WAYS: list[tuple[type[Client], str]] = [
    (ConfluentClient, "SCRAM-SHA-512"),
    (AiokafkaClient, "SCRAM-SHA-256"),
    (KafkaPythonClient, "SCRAM-SHA-512"),
]
_PEERS = list(zip(PEERS, MECHANISMS, strict=True))
_SEEN_BY_ALL = {"admin_nodes"}
# For Java whoever is not let in, or not allowed, has a configuration that is not valid: it takes that for the refusal.
_REFUSED_EITHER_WAY = {"admin_bad_config"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureCluster]:
    with secure_cluster(tmp_path_factory.mktemp("secure")) as running:
        yield running
        for name in NODES:
            service = running.composed.running[name]
            assert service.process.poll() is None, f"{name} ended:\n{service.log.read_text()[-2000:]}"


@pytest.fixture(scope="module", params=_WAYS, ids=lambda way: f"{way[0].name}-{way[1]}")
def client(request: pytest.FixtureRequest, cluster: SecureCluster) -> Iterator[Client]:
    kind, mechanism = request.param
    client: Client = kind(cluster.bootstrap, cluster.security(USER, mechanism), len(NODES))
    yield client
    client.close()


@pytest.mark.parametrize("case", CASES)
def test_case(client: Client, case: str) -> None:
    try:
        CASES[case](client, f"{case.replace('_', '-')}.{client.name}")
    except LeftOut as reason:
        pytest.skip(str(reason))


def test_the_user_may_do_no_more(client: Client) -> None:
    refused(ErrorCode.TOPIC_AUTHORIZATION_FAILED, lambda: client.create_topic("elsewhere"))
    refused(ErrorCode.GROUP_AUTHORIZATION_FAILED, lambda: client.group_state("elsewhere"))
    assert not {name for name in client.topics() if name.startswith("__")}


@pytest.fixture(params=_WAYS, ids=lambda way: f"{way[0].name}-{way[1]}")
def without_rules(request: pytest.FixtureRequest, cluster: SecureCluster) -> Iterator[Client]:
    """A client of a user who is let in, and of whom no rule speaks."""
    kind, mechanism = request.param
    client: Client = kind(cluster.bootstrap, cluster.security(WITHOUT_RULES, mechanism), len(NODES))
    yield client
    client.close()


def test_who_has_no_rules_is_refused(cluster: SecureCluster, without_rules: Client) -> None:
    client, topic = without_rules, cluster.topic
    of_topics: list[Callable[[], object]] = [
        lambda: client.create_topic("consume-mine"),
        lambda: client.produce(topic, [Sent(b"value")]),
        lambda: client.delete_topic(topic),
    ]
    for call in of_topics:
        refused(ErrorCode.TOPIC_AUTHORIZATION_FAILED, call)
    refused(ErrorCode.GROUP_AUTHORIZATION_FAILED, lambda: client.committed("group-mine", topic, 0))
    refused(ErrorCode.GROUP_AUTHORIZATION_FAILED, lambda: client.group_state("group-mine"))
    refused(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, lambda: client.transactional("transaction-mine"))
    assert client.topics() == {}
    assert client.groups() == set()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_confluent_with_a_wrong_password_is_refused(cluster: SecureCluster, mechanism: str) -> None:
    settings = librdkafka(cluster.bootstrap, cluster.authority, mechanism, USER, "wrong")
    assert f"invalid credentials with SASL mechanism {mechanism}" in refusal(settings)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_aiokafka_with_a_wrong_password_is_refused(
    cluster: SecureCluster, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its caller is told that there is no connection, its log what the node said."""
    with pytest.raises(RefusedByServer):
        AiokafkaClient(cluster.bootstrap, _with_wrong_password(cluster, mechanism)).topics()
    assert f"[Error {ErrorCode.SASL_AUTHENTICATION_FAILED}]" in caplog.text
    assert f"invalid credentials with SASL mechanism {mechanism}" in caplog.text


def test_kafka_python_with_a_wrong_password_is_refused(cluster: SecureCluster) -> None:
    """kafka-python 3.0.12 drops what it has read when the end of a TLS connection comes right behind: nodes are asked
    why they closed it."""
    before = cluster.count_refused()
    with pytest.raises(KafkaTimeoutError, match="Unable to bootstrap"):
        KafkaPythonClient(cluster.bootstrap, _with_wrong_password(cluster, "SCRAM-SHA-512"))
    assert cluster.count_refused() > before


def _with_wrong_password(cluster: SecureCluster, mechanism: str) -> Security:
    return Security(mechanism, USER, "wrong", cluster.authority.file)


@pytest.mark.parametrize("port", [9092, 19091], ids=["of nodes and containers", "of this machine"])
def test_no_listener_takes_plain_text_or_strangers(cluster: SecureCluster, port: int) -> None:
    good = librdkafka(f"{cluster.composed.addresses['node-1']}:{port}", cluster.authority, MECHANISMS[0], USER, "")
    plain = {name: good[name] for name in ("bootstrap.servers", "log_level")}
    assert refusal(plain)
    assert refusal({**plain, "security.protocol": "SSL", "ssl.ca.location": good["ssl.ca.location"]})


@pytest.fixture(scope="module", params=_PEERS, ids=lambda way: f"{way[0].name}-{way[1]}")
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    """The command of a suite, and the mechanism that it proves itself by."""
    peer: Peer = request.param[0]
    try:
        return peer.prepare(tmp_path_factory.mktemp(peer.name)), request.param[1]
    except Absent as reason:
        pytest.skip(f"{peer.name} was left out: {reason}")


@pytest.mark.timeout(600)
def test_suite(cluster: SecureCluster, suite: tuple[list[str], str]) -> None:
    command, mechanism = suite
    security = cluster.security(USER, mechanism)
    outcomes = {
        case: (outcome, why)
        for case, outcome, why in run_suite(command, cluster.bootstrap, len(NODES), security=security)
    }
    assert {case: one for case, one in outcomes.items() if one[0] != PASS} == {}
    assert len(outcomes) >= 30


@pytest.mark.timeout(300)
def test_suite_without_rules_is_refused(cluster: SecureCluster, suite: tuple[list[str], str]) -> None:
    command, mechanism = suite
    passed, said = _admin_cases(cluster, command, cluster.security(WITHOUT_RULES, mechanism))
    assert passed <= _SEEN_BY_ALL | _REFUSED_EITHER_WAY
    assert "topicauthorization" in said.lower().replace("_", "")


@pytest.mark.timeout(300)
def test_suite_with_a_wrong_password_is_refused(cluster: SecureCluster, suite: tuple[list[str], str]) -> None:
    command, mechanism = suite
    passed, said = _admin_cases(cluster, command, _with_wrong_password(cluster, mechanism))
    assert passed <= _REFUSED_EITHER_WAY
    assert f"invalid credentials with SASL mechanism {mechanism}" in said


def _admin_cases(cluster: SecureCluster, command: list[str], security: Security) -> tuple[set[str], str]:
    """The cases that passed nevertheless, and why the others did not."""
    passed: set[str] = set()
    said = []
    try:
        for case, outcome, why in run_suite(command, cluster.bootstrap, len(NODES), "refused", ["admin"], security):
            passed |= {case} if outcome == PASS else set()
            said.append(why)
    except RuntimeError as ended:  # kafkajs ends where it cannot connect
        said.append(str(ended))
    return passed, "\n".join(said)
