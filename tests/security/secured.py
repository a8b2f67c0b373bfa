"""A node that lets in only some: its authority, its users, and how clients of each library reach it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from cauce.testing import CauceProcess
from tests.security.authority import Authority

ADMIN, ADMIN_PASSWORD = "admin", "admin-secret"
_WAIT_SECONDS = 60.0


def sets(settings: Mapping[str, str]) -> list[str]:
    """Words of the command line."""
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def certificate_of(folder: Path, authority: Authority) -> Path:
    """A file of the node's own, new."""
    return authority.issue(f"{folder.parent.name}-{folder.name}.pem")


def secured(folder: Path, listen: str, authority: Authority, options: Sequence[str] = (), **more: str) -> CauceProcess:
    """A node with TLS, all mechanisms by password and one user; `more` settings with __ for dots."""
    settings = {
        "ssl.keystore.location": str(certificate_of(folder, authority)),
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "cauce.users": f"{ADMIN}={ADMIN_PASSWORD}",
        "group.initial.rebalance.delay.ms": "0",
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    return CauceProcess(folder, listen=listen, options=[*sets(settings), *options])


def librdkafka(
    bootstrap: str,
    authority: Authority,
    mechanism: str = "SCRAM-SHA-512",
    user: str = ADMIN,
    password: str = ADMIN_PASSWORD,
) -> dict[str, Any]:
    """Settings of confluent-kafka for SASL over TLS."""
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(authority.file),
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
        "log_level": 0,
    }


def writes(settings: Mapping[str, Any], topic: str, value: bytes = b"v") -> int:
    """Produce one record; its offset."""
    offsets: list[Any] = []
    producer = Producer({"message.timeout.ms": int(_WAIT_SECONDS * 1000), **settings})

    def delivered(error: KafkaError | None, message: Any) -> None:
        offsets.append(error or message.offset())

    producer.produce(topic, value, on_delivery=delivered)
    assert producer.flush(_WAIT_SECONDS) == 0
    assert isinstance(offsets[0], int), offsets[0]
    return offsets[0]


def refusal(settings: Mapping[str, Any]) -> str:
    """Why a client is not let in, in librdkafka's words."""
    said: list[KafkaError] = []
    admin = AdminClient({**settings, "error_cb": said.append})
    try:
        admin.list_topics(timeout=3)
    except KafkaException:
        admin.poll(1)
        return " ".join(error.str() for error in said)
    raise AssertionError("it was let in")
