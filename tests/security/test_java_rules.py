"""The Java client under access rules: let in, and refused with Kafka's exceptions; its Admin makes rules and quotas."""

import subprocess
import warnings
from pathlib import Path

import pytest

from cauce.testing import CauceProcess
from tests.security.secured import sets
from tests.wire.peers import Absent, java_class

_SECONDS = 300.0
_EXPECTED = {
    "create": "null",
    "write-refused": "TopicAuthorizationException",
    "write": "0",
    "read-refused": "TopicAuthorizationException",
    "group-refused": "GroupAuthorizationException",
    "read": "value",
    "transaction-refused": "TransactionalIdAuthorizationException",
    "transaction": "committed",
    "create-refused": "TopicAuthorizationException",
    "rules-refused": "ClusterAuthorizationException",
    "rules": "4",
    "operations": "[READ, WRITE, DESCRIBE]",
    "quotas": "1.0E9",
    "quotas-refused": "ClusterAuthorizationException",
    "removed": "4",
    "write-refused-again": "TopicAuthorizationException",
}


def _properties(folder: Path, user: str) -> str:
    file = folder / f"{user}.properties"
    file.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config="
        f'org.apache.kafka.common.security.plain.PlainLoginModule required username="{user}" password="{user}";\n'
    )
    return str(file)


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_java_is_let_in_or_refused_by_rules(tmp_path: Path) -> None:
    try:
        command = java_class(Path(__file__).parent / "java" / "Rules.java", tmp_path)
    except Absent as reason:
        warnings.warn(f"java was left out: {reason}", stacklevel=1)
        return
    settings = {
        "authorizer.class.name": "cauce",
        "super.users": "User:admin",
        "sasl.enabled.mechanisms": "PLAIN",
        "cauce.users": "admin=admin,alice=alice",
        "group.initial.rebalance.delay.ms": "0",
    }
    files = [_properties(tmp_path, user) for user in ("admin", "alice")]
    listen = "SASL_PLAINTEXT://127.0.0.1:0"
    with CauceProcess(tmp_path / "node", listen=listen, options=sets(settings)) as node:
        done = subprocess.run(
            [*command, node.bootstrap, *files], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    outcomes = dict(line.split("\t")[1:] for line in done.stdout.splitlines() if line.startswith("outcome\t"))
    assert outcomes == _EXPECTED, done.stderr[-3000:]
