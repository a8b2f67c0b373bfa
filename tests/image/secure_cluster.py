"""compose.yaml with compose.secure.yaml over it, running: secrets, a user for the wire suite, and that user's rules.

The rules are what the cases need and no more: everything that a case makes has a name of the suite's own.
"""

import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tests.cauce.cluster import eventually
from tests.cauce.commands import runs
from tests.image.compose import SECURE, Composed, composed
from tests.security.authority import Authority
from tests.security.secured import librdkafka
from tests.wire.cases import KINDS
from tests.wire.client import Security

NODES = ("node-1", "node-2", "node-3")
USER, WITHOUT_RULES = "wire-suite", "nobody"
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_PASSWORDS = {USER: "the-suites-own", WITHOUT_RULES: "known-but-not-allowed"}
_ADMIN_PASSWORD = "first-of-all"
_SETTINGS = {
    "CAUCE_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "CAUCE_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "200",
}
_SECONDS = 60.0

_LITERAL, _PREFIXED = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
_ON_TOPICS = ("CREATE", "WRITE", "READ", "DELETE", "ALTER", "DESCRIBE_CONFIGS", "ALTER_CONFIGS")


def _rules() -> Iterator[AclBinding]:
    """A case's topics, groups and transactional ids begin with its kind."""
    for kind in KINDS:
        yield from _allow(ResourceType.TOPIC, f"{kind}-", _PREFIXED, _ON_TOPICS)
        yield from _allow(ResourceType.GROUP, f"{kind}-", _PREFIXED, ("READ", "DELETE"))
    yield from _allow(ResourceType.TRANSACTIONAL_ID, "transaction-", _PREFIXED, ("WRITE",))
    yield from _allow(ResourceType.TOPIC, "not a name!", _LITERAL, ("CREATE",))  # to be told that it is none
    yield from _allow(ResourceType.GROUP, "read-", _PREFIXED, ("READ",))  # kafkajs reads in groups only
    yield from _allow(
        ResourceType.GROUP, "reader", _LITERAL, ("DESCRIBE",)
    )  # librdkafka asks who coordinates its group
    yield from _allow(ResourceType.BROKER, "kafka-cluster", _LITERAL, ("DESCRIBE_CONFIGS",))


def _allow(
    resource: ResourceType, name: str, pattern: ResourcePatternType, operations: Sequence[str]
) -> Iterator[AclBinding]:
    for operation in operations:
        yield AclBinding(resource, name, pattern, f"User:{USER}", "*", AclOperation[operation], AclPermissionType.ALLOW)


@dataclass(frozen=True)
class SecureCluster:
    """Three nodes that run, and who may come in."""

    composed: Composed
    authority: Authority
    folder: Path
    topic: str = "consume-nothing"  # one that is there, and that the suite's user may see

    def at(self, name: str) -> str:
        """Where clients of this machine reach a node."""
        return f"{self.composed.addresses[name]}:1909{NODES.index(name) + 1}"

    @property
    def bootstrap(self) -> str:
        """All nodes, with commas."""
        return ",".join(map(self.at, NODES))

    def security(self, user: str, mechanism: str) -> Security:
        """What this user proves itself by."""
        return Security(mechanism, user, _PASSWORDS[user], self.authority.file)

    def admin(self) -> AdminClient:
        """The first user's client."""
        return AdminClient(librdkafka(self.bootstrap, self.authority, user="admin", password=_ADMIN_PASSWORD))

    def count_nodes(self) -> int:
        """How many nodes the cluster has now."""
        admin = self.admin()  # its futures end with it
        return len(admin.describe_cluster().result(_SECONDS).nodes)

    def count_refused(self) -> float:
        """How often the nodes did not let somebody in."""
        rows: list[str] = []
        for name in NODES:
            with urllib.request.urlopen(f"http://{self.composed.addresses[name]}:9644/metrics") as answer:
                rows += answer.read().decode().splitlines()
        return sum(float(row.rpartition(" ")[2]) for row in rows if row.startswith("cauce_authentication_failed_total"))

    def add_users(self) -> None:
        """As the docs say it: by command, each with a credential of both mechanisms."""
        config = self.folder / "admin.properties"
        config.write_text(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\n"
            f"ssl.truststore.location={self.authority.file}\nsasl.username=admin\nsasl.password={_ADMIN_PASSWORD}\n"
        )
        for user, password in _PASSWORDS.items():
            (self.folder / "password").write_text(password)
            words = ("--password", f"file:{self.folder / 'password'}", "-b", self.bootstrap)
            runs("user", "add", user, *words, "--command-config", str(config))

    def add_rules(self) -> None:
        """Let the suite's user do what its cases do; return when every node knows it."""
        admin = self.admin()
        for future in admin.create_acls(list(_rules())).values():
            future.result(_SECONDS)
        admin.create_topics([NewTopic(self.topic, 1)])[self.topic].result(_SECONDS)
        eventually("every node lets the user in", lambda: all(self._lets_in(name) for name in NODES))

    def _lets_in(self, name: str) -> bool:
        """Whether this very node knows the user, and the rule that lets it see what is there for it to see."""
        security = self.security(USER, MECHANISMS[0])
        alone = librdkafka(self.at(name), self.authority, security.mechanism, security.user, security.password)
        return self.topic in AdminClient(alone).list_topics(timeout=_SECONDS).topics


@contextmanager
def secure_cluster(folder: Path) -> Iterator[SecureCluster]:
    """The cluster, its users and rules, in the folder; ended with the with statement."""
    services = Composed(folder, SECURE, settings=_SETTINGS)
    cluster = SecureCluster(services, _make_secrets(folder / "secrets", services), folder)
    with composed(services):
        eventually("three nodes are up", lambda: cluster.count_nodes() == len(NODES))
        cluster.add_users()
        cluster.add_rules()
        yield cluster


def _make_secrets(folder: Path, services: Composed) -> Authority:
    """The files that compose.secure.yaml names; certificates are for the addresses that stand in place of names."""
    folder.mkdir()
    authority = Authority(folder)
    for name in NODES:
        authority.issue(f"{name}.pem", user=name, address=services.addresses[name])
    (folder / "nodes").write_text("between-the-nodes\n")
    (folder / "users").write_text(f"admin={_ADMIN_PASSWORD}\n")
    return authority
