"""A cluster whose every listener wants TLS and a login: nodes reach one another, commands and replays too."""

from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually, shared_redis
from tests.cauce.commands import run, runs
from tests.security.authority import Authority
from tests.security.secured import librdkafka, sets

_SECONDS = 60.0


def _node(folder: Path, name: str, authority: Authority, redis: str, *words: str, node_password: str) -> CauceProcess:
    settings = {
        "ssl.keystore.location": str(authority.issue(f"{name}.pem")),
        "ssl.truststore.location": str(authority.file),
        "cauce.inter.broker.password": node_password,
        "cauce.view.repair.interval.ms": "500",  # how soon a user is seen that was added in the bucket itself
        "group.initial.rebalance.delay.ms": "0",
        "transaction.state.log.num.partitions": "4",
        "offsets.topic.num.partitions": "4",
    }
    options = ["--bucket", (folder / "bucket").as_uri(), "--redis", redis, *sets(settings), *words]
    return CauceProcess(folder / name, listen="SASL_SSL://127.0.0.1:0", options=options, command="node")


@pytest.mark.timeout(400)
def test_nodes_commands_and_readers_log_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    password = tmp_path / "password"
    password.write_text("between-nodes\n")
    kim = tmp_path / "kim"
    kim.write_text("kims-secret")
    config = tmp_path / "client.properties"
    config.write_text(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\n"
        f"ssl.truststore.location={authority.file}\n"
        'sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="kim" '
        'password="kims-secret";\n'
    )
    with shared_redis(tmp_path) as redis:

        def node(name: str, *words: str) -> CauceProcess:
            return _node(tmp_path, name, authority, redis, *words, node_password=f"file:{password}")

        with node("one", "--roles", "ingest") as one:
            bucket = (tmp_path / "bucket").as_uri()
            runs("user", "add", "kim", "--password", f"file:{kim}", "--bucket", bucket)
            settings = librdkafka(one.bootstrap, authority, user="kim", password="kims-secret")
            with node("two", "--roles", "ingest"), node("reader", "--roles", "reader"):
                words = ("-b", one.bootstrap, "--command-config", str(config))
                eventually("kim is let in", lambda: run("topic", "list", *words).code == 0)
                runs("topic", "create", "t", "-p", "4", *words)
                _transaction(settings)
                assert len(runs("consume", "t", *words, "-n", "40").lines) == 40
                assert _read(settings) == 40
                assert "kim" in runs("user", "list", *words).out
                runs("produce", "t", *words, stdin="more\n")
                assert len(runs("replay", "t", "--to", "-", "--format", "csv", *words).lines) >= 41
                done = run("topic", "list", "-b", one.bootstrap)
                assert done.code == 1
                assert "give --command-config FILE" in done.err
                runs("user", "delete", "kim", *words)
                done = run("topic", "list", *words)
                assert (done.code, "did not let us in" in done.err) == (1, True), done


def _transaction(settings: dict[str, object]) -> None:
    """Its coordinator writes markers at both nodes, and each asks it whether partitions are in it."""
    producer = Producer({**settings, "transactional.id": "x"})
    producer.init_transactions(_SECONDS)
    producer.begin_transaction()
    for number in range(40):
        producer.produce("t", b"%d" % number, partition=number % 4)
    producer.commit_transaction(_SECONDS)


def _read(settings: dict[str, object]) -> int:
    group = {"group.id": "g", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    consumer = Consumer({**settings, **group})
    consumer.subscribe(["t"])
    seen: list[object] = []

    def all_there() -> bool:
        seen.extend(message for message in consumer.consume(100, 0.5) if not message.error())
        return len(seen) >= 40

    try:
        eventually("the transaction is read", all_there)
    finally:
        consumer.close()
    return len(seen)
