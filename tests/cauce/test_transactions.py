"""Transactions of real clients against a real node: all or nothing, fenced zombies, time-outs, late requests."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from infra.clock import SYSTEM_CLOCK
from infra.error_code import ErrorCode
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.wire.client import TRANSACTION, Client
from infra.wire.messages import add_partitions_to_txn, end_txn, init_producer_id, produce
from tests.cauce.cluster import eventually
from tests.cauce.commands import ends, fails, works
from tests.cauce.transactions import SECONDS, committed, producer, refusal, write

_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "transaction.max.timeout.ms": "120000",
    "cauce.view.repair.interval.ms": "200",
}


@pytest.fixture(scope="module", params=["wal", "object"])
def node(request: pytest.FixtureRequest) -> Iterator[CauceProcess]:
    settings = {**_SETTINGS, "cauce.durability": request.param, "cauce.flush.interval.ms": "20"}
    with tempfile.TemporaryDirectory(prefix="cauce-") as folder:
        options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        with CauceProcess(Path(folder), options=options) as running:
            yield running


@pytest.fixture
def topic(node: CauceProcess, request: pytest.FixtureRequest) -> str:
    """A topic of two partitions for one test."""
    name: str = request.node.name.replace("[", "-").replace("]", "")
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    admin.create_topics([NewTopic(name, 2)])[name].result(SECONDS)
    return name


def test_what_is_committed_is_read_and_what_is_aborted_is_not(node: CauceProcess, topic: str) -> None:
    made = producer(node.bootstrap, topic)
    expected = []
    for number in range(6):
        values = [(number % 2, b"a%d" % number), ((number + 1) % 2, b"b%d" % number)]
        write(made, topic, values, commit=number % 3 != 1)
        expected += values if number % 3 != 1 else []
    assert committed(node.bootstrap, topic, 2) == sorted(expected)
    assert len(committed(node.bootstrap, topic, 2, "read_uncommitted")) == 12


def test_an_open_transaction_holds_readers_of_its_partition_back_and_no_others(node: CauceProcess, topic: str) -> None:
    first, second = producer(node.bootstrap, f"{topic}-1"), producer(node.bootstrap, f"{topic}-2")
    first.begin_transaction()
    first.produce(topic, b"open", partition=0)
    assert first.flush(SECONDS) == 0
    write(second, topic, [(0, b"behind"), (1, b"beside")])
    assert committed(node.bootstrap, topic, 2) == [(1, b"beside")]
    first.commit_transaction(SECONDS)
    everything = [(0, b"behind"), (0, b"open"), (1, b"beside")]
    eventually("the transaction is committed", lambda: committed(node.bootstrap, topic, 2) == everything)


def test_a_zombie_is_fenced_and_what_it_left_open_is_aborted(node: CauceProcess, topic: str) -> None:
    zombie = producer(node.bootstrap, topic)
    zombie.begin_transaction()
    zombie.produce(topic, b"zombie", partition=0)
    assert zombie.flush(SECONDS) == 0
    living = producer(node.bootstrap, topic)
    error = refusal(zombie.commit_transaction, SECONDS)
    assert error.fatal()
    assert error.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED)
    write(living, topic, [(0, b"living")])
    assert committed(node.bootstrap, topic, 2) == [(0, b"living")]


def test_a_transaction_that_takes_too_long_is_aborted(node: CauceProcess, topic: str) -> None:
    slow = producer(node.bootstrap, topic, **{"transaction.timeout.ms": 1_000})
    slow.begin_transaction()
    slow.produce(topic, b"slow", partition=1)
    assert slow.flush(SECONDS) == 0
    aborted = f"{topic}, CompleteAbort"
    eventually(
        "the transaction is aborted",
        lambda: works("transactions", "describe", topic, "-b", node.bootstrap).out.startswith(aborted),
    )
    assert refusal(slow.commit_transaction, SECONDS).code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED)
    write(producer(node.bootstrap, topic), topic, [(1, b"next")])
    assert committed(node.bootstrap, topic, 2) == [(1, b"next")]


def test_a_time_out_that_is_too_long_is_refused(node: CauceProcess, topic: str) -> None:
    error = refusal(lambda: producer(node.bootstrap, topic, **{"transaction.timeout.ms": 200_000}))
    assert error.code() == KafkaError.INVALID_TRANSACTION_TIMEOUT


def test_aiokafka_commits_and_aborts(node: CauceProcess, topic: str) -> None:
    async def body() -> list[bytes]:
        made = AIOKafkaProducer(bootstrap_servers=node.bootstrap, transactional_id=topic)
        async with made:
            async with made.transaction():
                await made.send_and_wait(topic, b"committed", partition=0)
            await made.begin_transaction()
            await made.send_and_wait(topic, b"aborted", partition=0)
            await made.abort_transaction()
            async with made.transaction():
                await made.send_and_wait(topic, b"again", partition=0)
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=node.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        )
        async with consumer:
            return [(await asyncio.wait_for(consumer.getone(), SECONDS)).value for _ in range(2)]

    assert asyncio.run(body()) == [b"committed", b"again"]


def test_a_late_produce_does_not_open_the_transaction_again(node: CauceProcess, topic: str) -> None:
    async def body() -> tuple[int, int, int]:
        async with Client(node.bootstrap) as client:

            async def coordinator(request: Any) -> Any:
                return await client.to_coordinator(topic, request, TRANSACTION)

            given = await coordinator(
                init_producer_id.InitProducerIdRequest(transactional_id=topic, transaction_timeout_ms=60_000)
            )
            who = (given.producer_id, given.producer_epoch)
            # The version that producers send: later ones are between nodes.
            node_of_it = await client._find_coordinator(topic, TRANSACTION)
            added = await client.call(node_of_it, _add(topic, *who), version=3)
            assert added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code == 0
            in_time = await client.to_leader(topic, 0, _produce(topic, *who, sequence=0))
            ended = await coordinator(
                end_txn.EndTxnRequest(transactional_id=topic, producer_id=who[0], producer_epoch=who[1], committed=True)
            )
            assert ended.error_code == 0
            await _complete(topic, node.bootstrap)
            late = await client.to_leader(topic, 0, _produce(topic, *who, sequence=1))
            elsewhere = await client.to_leader(topic, 1, _produce(topic, *who, sequence=0, partition=1))
            return _code(in_time), _code(late), _code(elsewhere)

    refused = ErrorCode.INVALID_TXN_STATE
    assert asyncio.run(body()) == (ErrorCode.NONE, refused, refused)
    assert committed(node.bootstrap, topic, 2) == [(0, b"0")]


async def _complete(transactional_id: str, bootstrap: str) -> None:
    def done() -> bool:
        return "CompleteCommit" in works("transactions", "describe", transactional_id, "-b", bootstrap).out

    await asyncio.to_thread(eventually, "the transaction is complete", done)


def _add(topic: str, producer_id: int, epoch: int) -> add_partitions_to_txn.AddPartitionsToTxnRequest:
    return add_partitions_to_txn.AddPartitionsToTxnRequest(
        v3_and_below_transactional_id=topic,
        v3_and_below_producer_id=producer_id,
        v3_and_below_producer_epoch=epoch,
        v3_and_below_topics=[add_partitions_to_txn.AddPartitionsToTxnTopic(name=topic, partitions=[0])],
    )


def _produce(topic: str, producer_id: int, epoch: int, *, sequence: int, partition: int = 0) -> produce.ProduceRequest:
    now_ms = SYSTEM_CLOCK.now_ms()  # an old record would be gone by retention before it is looked for
    batch = encode_batch(
        [Record(0, now_ms, None, b"%d" % sequence)],
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        transactional=True,
    )
    data = produce.PartitionProduceData(index=partition, records=batch)
    return produce.ProduceRequest(
        transactional_id=topic,
        acks=-1,
        timeout_ms=30_000,
        topic_data=[produce.TopicProduceData(name=topic, partition_data=[data])],
    )


def _code(response: produce.ProduceResponse) -> int:
    return int(response.responses[0].partition_responses[0].error_code)


def test_a_restart_loses_no_decision_and_no_producer(node: CauceProcess, topic: str) -> None:
    made = producer(node.bootstrap, topic)
    for number in range(5):
        write(made, topic, [(0, b"%d" % number), (1, b"%d" % number)], commit=number % 2 == 0)
    open_one = producer(node.bootstrap, f"{topic}-open")
    open_one.begin_transaction()
    open_one.produce(topic, b"open", partition=0)
    assert open_one.flush(SECONDS) == 0
    node.kill()
    node.start()
    write(made, topic, [(0, b"after"), (1, b"after")])
    open_one.commit_transaction(SECONDS)
    expected = [(partition, value) for partition in (0, 1) for value in (b"0", b"2", b"4", b"after")]
    everything = sorted([*expected, (0, b"open")])
    eventually("all of it is committed", lambda: committed(node.bootstrap, topic, 2) == everything)


def test_offsets_are_committed_with_what_was_made_of_them(node: CauceProcess, topic: str) -> None:
    source, out = topic, f"{topic}-out"
    write(producer(node.bootstrap, f"{topic}-source"), source, [(0, b"%d" % number) for number in range(10)])
    made = producer(node.bootstrap, topic)
    settings: dict[str, Any] = {"enable.auto.commit": False, "isolation.level": "read_committed"}
    options = {"bootstrap.servers": node.bootstrap, "group.id": topic, "auto.offset.reset": "earliest", **settings}
    consumer = Consumer(options)
    consumer.subscribe([source])
    try:
        for commit in (False, True):
            taken = [message for message in consumer.consume(5, SECONDS) if message.error() is None]
            assert [message.value() for message in taken] == [b"%d" % number for number in range(5)]
            made.begin_transaction()
            for message in taken:
                made.produce(out, message.value(), partition=0)
            made.send_offsets_to_transaction(
                consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), SECONDS
            )
            if commit:
                made.commit_transaction(SECONDS)
            else:
                made.abort_transaction(SECONDS)
                for place in consumer.assignment():
                    consumer.seek(TopicPartition(place.topic, place.partition, 0))

        def offset() -> int:
            return int(consumer.committed([TopicPartition(source, 0)], SECONDS)[0].offset)

        eventually("the offset is committed", lambda: offset() == 5)
    finally:
        consumer.close()
    assert committed(node.bootstrap, out, 1) == [(0, b"%d" % number) for number in range(5)]


def test_what_hangs_is_found_and_ended(node: CauceProcess, topic: str) -> None:
    at = ("-b", node.bootstrap)
    open_one = producer(node.bootstrap, topic)
    open_one.begin_transaction()
    open_one.produce(topic, b"open", partition=1)
    assert open_one.flush(SECONDS) == 0
    listed = works("transactions", "list", "--state", "Ongoing", "--json", *at).json
    assert topic in [row["transactional_id"] for row in listed]
    assert topic not in works("transactions", "list", "--longer-than", "5", *at).out
    described = works("transactions", "describe", topic, "--json", *at).json
    assert (described["state"], described["partitions"]) == ("Ongoing", [{"topic": topic, "partition": 1}])
    assert described["started_ms"] > 0

    [known] = works("transactions", "producers", "-t", topic, "-p", "1", "--json", *at).json
    assert (known["producer_id"], known["open_since_offset"]) == (described["producer_id"], 0)
    looked = ("transactions", "find-hanging", "-t", topic, "--older-than", "0", *at)
    assert works(*looked).out.strip() == "no transaction hangs", "its coordinator knows it"

    # Its coordinator has nothing to do any more with a topic that is deleted. Then the topic is brought back.
    works("topic", "delete", topic, "--yes", *at)
    open_one.commit_transaction(SECONDS)
    complete = f"{topic}, CompleteCommit"
    eventually("it is complete", lambda: works("transactions", "describe", topic, *at).out.startswith(complete))
    works("topic", "undelete", topic, "--data", str(node.data))
    rows = eventually("the topic is back", lambda: _hanging(*looked, "--json"))
    [hanging] = rows
    assert (hanging["topic"], hanging["partition"], hanging["transactional_id"]) == (topic, 1, topic)
    wrong = fails("transactions", "abort", "-t", topic, "-p", "1", "--start-offset", "7", *at)
    assert "no transaction is open" in wrong
    words = ("-t", topic, "-p", "1", "--start-offset", str(hanging["open_since_offset"]))
    assert "aborted the transaction" in works("transactions", "abort", *words, *at).out
    assert works(*looked).out.strip() == "no transaction hangs"
    write(producer(node.bootstrap, topic), topic, [(1, b"next")])
    assert committed(node.bootstrap, topic, 2) == [(1, b"next")]


def _hanging(*words: str) -> Any:
    done = ends(*words)
    return done.json if done.code == 0 else []
