"""A cluster of one node for each role, seen from S3: what each role asks for, its policy allows, and what the policy
allows, the role asks for. Each node signs with a key id of its own, and a proxy before the store keeps what it asks."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually, shared_redis
from tests.chaos.http_message import Message
from tests.chaos.proxy import ProxyLoop
from tests.chaos.store_proxy import StoreProxy, Weather
from tests.patience import PATIENCE
from tests.servers import S3Server, aws_credentials, moto_server  # noqa: F401
from tests.terraform.policies import ROLES, allows, granted

_SIGNER = re.compile(r"credential=([^/]+)/", re.IGNORECASE)
_OBJECT = re.compile(rb"<Key>([^<]*)</Key>")
_ACTIONS = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject"}
_FAST = {
    "cauce.durability": "object",
    "cauce.flush.interval.ms": "20",
    "cauce.session.timeout.ms": "30000",
    "cauce.compaction.interval.ms": "100",
    "cauce.compaction.bytes": "1",
    "cauce.garbage.interval.ms": "200",
    "cauce.garbage.grace.ms": "1000",
    "offsets.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
}


class Recorder(StoreProxy):
    """Keeps who asked for what: (key id, action, key)."""

    def __init__(self, server: S3Server) -> None:
        address = urlsplit(server.endpoint)
        assert address.hostname
        assert address.port
        super().__init__(address.hostname, address.port, "calls")
        self._bucket = server.bucket
        self.asked: set[tuple[str, str, str]] = set()

    async def _turn_away(
        self, weather: Weather, request: Message, writer: asyncio.StreamWriter
    ) -> Literal["answered", "cut"] | None:
        signer = _SIGNER.search(request.header("authorization"))
        assert signer, request.headers
        self.asked |= {(signer[1], action, key) for action, key in self._actions(request)}
        return None

    def _actions(self, request: Message) -> Iterator[tuple[str, str]]:
        """What IAM would be asked."""
        method, target = request.words[:2]
        place = urlsplit(target)
        key = unquote(place.path).removeprefix(f"/{self._bucket}").lstrip("/")
        if method == "POST" and "delete" in parse_qs(place.query, keep_blank_values=True):
            yield from (("s3:DeleteObject", name.decode()) for name in _OBJECT.findall(request.body))
        elif key:
            yield _ACTIONS.get(method, method), key
        else:
            yield "s3:ListBucket" if method == "GET" else method, ""


@pytest.fixture(scope="module")
def asked(moto_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str, str]]:  # noqa: F811
    """Everything that the nodes asked for while records went through them."""
    folder = tmp_path_factory.mktemp("calls")
    recorder, loop = Recorder(moto_server), ProxyLoop()
    loop.add(recorder)
    try:
        with shared_redis(folder) as redis:
            bucket = S3Server(f"http://127.0.0.1:{recorder.port}", moto_server.bucket).url("")
            _run(folder, bucket, redis, recorder)
    finally:
        loop.close()
    return set(recorder.asked)


def _run(folder: Path, bucket: str, redis: str, recorder: Recorder) -> None:
    words = ["--bucket", bucket, "--redis", redis]
    words += [word for name, value in _FAST.items() for word in ("--set", f"{name}={value}")]

    def node(role: str) -> CauceProcess:
        environment = {"AWS_ACCESS_KEY_ID": role}
        return CauceProcess(folder / role, options=[*words, "--roles", role], command="node", environment=environment)

    with node("ingest") as leader, node("reader") as reader, node("compactor"):
        _write_and_read(leader.bootstrap, reader.bootstrap)
        eventually("compaction", lambda: _has(recorder, "s3:PutObject", "records/"))
        eventually("garbage", lambda: _has(recorder, "s3:DeleteObject", "batches/"))


def _has(recorder: Recorder, action: str, prefix: str) -> bool:
    return any(("compactor", action) == one[:2] and one[2].startswith(prefix) for one in list(recorder.asked))


def _write_and_read(leader: str, reader: str) -> None:
    patience = 60 * PATIENCE
    admin = AdminClient({"bootstrap.servers": leader})
    admin.create_topics([NewTopic("orders", 2)])["orders"].result(patience)
    at_reader = AdminClient({"bootstrap.servers": reader})
    at_reader.create_topics([NewTopic("asked-of-a-reader", 1)])["asked-of-a-reader"].result(patience)
    producer = Producer({"bootstrap.servers": leader, "enable.idempotence": True})
    for number in range(100):
        producer.produce("orders", b"%d" % number, partition=number % 2)
    assert producer.flush(patience) == 0
    consumer = Consumer({"bootstrap.servers": leader, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    deadline, seen = time.monotonic() + patience, 0
    while seen < 100:
        assert time.monotonic() < deadline
        seen += len(consumer.consume(100, 0.5))
    consumer.commit(asynchronous=False)
    consumer.close()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_it_does(role: str, asked: set[tuple[str, str, str]]) -> None:
    mine = {(action, key) for signer, action, key in asked if signer == role}

    assert mine
    assert {(action, key) for action, key in mine if not allows(role, action, key)} == set()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_does_what_it_may(role: str, asked: set[tuple[str, str, str]]) -> None:
    of_s3 = {action for action in granted(role) if action.startswith("s3:")}

    assert {action for signer, action, _ in asked if signer == role} == of_s3
