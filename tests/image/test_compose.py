"""compose.yaml: what it says holds together, and its commands, run as processes, are a cluster.

So does what compose.secure.yaml lays over it; test_secure_compose.py runs that.
"""

import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.cauce.cluster import eventually, read_all
from tests.image.compose import COMPOSE, SECURE, Composed, composed, document, seconds, secret_files, services
from tests.image.dockerfile import ROOT

_NODES = ("node-1", "node-2", "node-3")
_PAGE = ROOT / "docs" / "deploying.md"


@pytest.mark.parametrize(("files", "first"), [((), "PLAINTEXT"), ((SECURE,), "SASL_SSL")], ids=["plain", "secure"])
def test_ports_that_are_published_are_advertised(files: tuple[Path, ...], first: str) -> None:
    for name in _NODES:
        row = services(*files)[name]
        [published] = row["ports"]
        host, port, inside = published.split(":")
        assert (host, port) == ("127.0.0.1", inside)
        words = dict(zip(row["command"][1::2], row["command"][2::2], strict=True))
        assert words["--rack"] == dict(zip(_NODES, ("zone-a", "zone-b", "zone-c"), strict=True))[name]
        assert words["--listen"] == f"{first}://0.0.0.0:9092,HOST://0.0.0.0:{port}"
        assert words["--advertise"] == f"{first}://{name}:9092,HOST://localhost:{port}"
        assert row["environment"]["CAUCE_LISTENER_SECURITY_PROTOCOL_MAP"] == f"{first}:{first},HOST:{first}"
        assert seconds(row["stop_grace_period"]) >= 30


def _secret_files(name: str) -> Mapping[str, str]:
    whole = document(COMPOSE, SECURE)
    return secret_files(whole["services"][name], whole["secrets"])


def test_nodes_are_given_the_secrets_that_their_settings_name_and_no_others() -> None:
    for name in _NODES:
        settings = services(SECURE)[name]["environment"].values()
        named = {found[1] for found in (re.search("/run/secrets/(.+)", text) for text in settings) if found}
        given = _secret_files(name)
        assert named == set(given)
        assert given["node.pem"] == f"./secrets/{name}.pem"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_the_page_makes_all_secrets(tmp_path: Path) -> None:
    section = _PAGE.read_text(encoding="utf-8").partition("## Three nodes with Compose")[2]
    [making] = [block for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) if "openssl" in block]
    subprocess.run(["sh", "-ec", making], cwd=tmp_path, check=True, capture_output=True)
    for name in _NODES:
        given = {target: tmp_path / file for target, file in _secret_files(name).items()}
        context = ssl.create_default_context(cafile=str(given["ca.pem"]))
        context.load_cert_chain(given["node.pem"])  # the key is the certificate's
        subprocess.run(["openssl", "verify", "-CAfile", given["ca.pem"], given["node.pem"]], check=True)
        assert given["users"].read_text().startswith("admin=")
        assert all(path.stat().st_mode & 0o777 == 0o644 for path in given.values())
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def _bootstrap(cluster: Composed) -> str:
    return ",".join(f"{cluster.addresses[name]}:1909{number}" for number, name in enumerate(_NODES, 1))


def _create(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    eventually("three nodes are up", lambda: len(admin.describe_cluster().result(60).nodes) == len(_NODES))
    admin.create_topics([NewTopic("orders", -1)])["orders"].result(60)


def _acknowledged(bootstrap: str, first: int, count: int) -> None:
    refused: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0})
    for number in range(first, first + count):
        producer.produce(
            "orders", b"%d" % number, on_delivery=lambda error, _: refused.append(error) if error else None
        )
    eventually("all are acknowledged", lambda: producer.flush(1) == 0)
    assert not refused


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 without being asked")
@pytest.mark.skipif(shutil.which("wget") is None, reason="the health check of the S3 server is made with wget")
def test_its_commands_are_a_cluster_that_stops_gracefully(tmp_path: Path) -> None:
    with composed(Composed(tmp_path)) as cluster:
        bootstrap = _bootstrap(cluster)
        _create(bootstrap)
        _acknowledged(bootstrap, 0, 300)
        assert cluster.running["node-2"].stop() == 0
        _acknowledged(bootstrap, 300, 300)
        found = read_all(bootstrap, "orders", 6)
        assert sorted(map(int, found.values())) == list(range(600))
        assert [cluster.running[name].stop() for name in ("node-1", "node-3")] == [0, 0]
