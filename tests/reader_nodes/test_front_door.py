"""Reader nodes through the front door: cold consumers go there and come back, and nothing is lost or told twice."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer
from kafka import KafkaConsumer, TopicPartition

from tests.cauce.cluster import eventually
from tests.cauce.kept import Row, write
from tests.reader_nodes.cluster import ReaderCluster, Reading, in_order, reader_cluster, scrape, values

_PARTITIONS = 2
_RECORDS = 6000


@pytest.fixture(scope="module")
def cluster() -> Iterator[ReaderCluster]:
    with reader_cluster() as found:
        yield found


def test_a_cold_consumer_reads_from_the_reader_node_and_follows_to_the_tail(cluster: ReaderCluster) -> None:
    cluster.create_topic("cold", _PARTITIONS)
    written = write(cluster.bootstrap, "cold", values("cold", _RECORDS))
    size = sum(len(key or b"") + len(value or b"") for _, _, key, value in written)
    before = scrape(cluster.reader, "cauce_topic_bytes_out_total")
    reading = Reading(cluster.bootstrap, "cold", _PARTITIONS)
    reading.until(len(written))
    served = scrape(cluster.reader, "cauce_topic_bytes_out_total") - before
    assert served > 0.8 * size, (served, size)
    assert scrape(cluster.reader, "cauce_followed_partitions") == _PARTITIONS

    second = Reading(cluster.bootstrap, "cold", _PARTITIONS)
    second.until(len(written))
    assert scrape(cluster.reader, "cauce_followed_partitions") == _PARTITIONS

    taken = scrape(cluster.reader, "cauce_followed_bytes_total")
    more = write(cluster.bootstrap, "cold", values("hot", 200))
    for one in (reading, second):
        one.until(len(written) + len(more))
        one.close()
        assert in_order(one.got)
        assert sorted(one.got) == sorted(written + more)
    more_bytes = sum(len(key or b"") + len(value or b"") for _, _, key, value in more)
    assert scrape(cluster.reader, "cauce_followed_bytes_total") - taken < 1.5 * more_bytes


def test_a_change_of_leader_is_followed(cluster: ReaderCluster) -> None:
    cluster.create_topic("moved", 6)  # so many that each node leads some
    written = write(cluster.bootstrap, "moved", values("first", 600))
    reading = Reading(cluster.bootstrap, "moved", 6)
    reading.until(len(written))
    served = scrape(cluster.reader, "cauce_topic_bytes_out_total")
    for number, node in enumerate(cluster.leaders):
        assert node.stop() == 0, node.output
        written += write(cluster.reader.bootstrap, "moved", values(f"without-{number}", 600))
        reading.until(len(written))
        node.start()
        written += write(cluster.reader.bootstrap, "moved", values(f"with-{number}", 600))
        reading.until(len(written))
    reading.close()
    assert in_order(reading.got)
    assert sorted(reading.got) == sorted(written)
    assert scrape(cluster.reader, "cauce_topic_bytes_out_total") > served


def test_a_client_that_knows_only_the_reader_finds_everything(cluster: ReaderCluster) -> None:
    cluster.create_topic("found", _PARTITIONS)
    written = write(cluster.reader.bootstrap, "found", values("found", 100), **{"enable.idempotence": True})
    settings = {"group.id": "found", "auto.offset.reset": "earliest", "bootstrap.servers": cluster.reader.bootstrap}
    consumer = Consumer(settings)
    consumer.subscribe(["found"])
    got: list[Row] = []

    def all_came() -> bool:
        messages = [message for message in consumer.consume(500, 0.2) if message.error() is None]
        got.extend((one.partition(), one.offset(), one.key(), one.value()) for one in messages)
        return len(got) >= len(written)

    eventually("the group reads all", all_came)
    consumer.commit(asynchronous=False)
    consumer.close()
    assert sorted(got) == written


def test_clients_that_may_not_know_of_readers_are_served_whole(cluster: ReaderCluster) -> None:
    cluster.create_topic("others", _PARTITIONS)
    written = write(cluster.bootstrap, "others", values("others", 1000))
    assert sorted(_by_kafka_python(cluster.bootstrap, len(written))) == written
    assert sorted(asyncio.run(_by_aiokafka(cluster.bootstrap, len(written)))) == written


def _by_kafka_python(bootstrap: str, count: int) -> list[Row]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), max_partition_fetch_bytes=20_000)
    consumer.assign([TopicPartition("others", number) for number in range(_PARTITIONS)])
    consumer.seek_to_beginning()
    got: list[Row] = []

    def all_came() -> bool:
        for records in consumer.poll(200).values():
            got.extend((one.partition, one.offset, one.key, one.value) for one in records)
        return len(got) >= count

    eventually("kafka-python reads all", all_came)
    consumer.close()
    return got


async def _by_aiokafka(bootstrap: str, count: int) -> list[Row]:
    consumer = AIOKafkaConsumer(
        "others", bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=20_000
    )
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            got = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    return [(one.partition, one.offset, one.key, one.value) for one in got]


def test_a_reader_that_stops_hands_its_consumers_back(cluster: ReaderCluster) -> None:
    cluster.create_topic("stopped", _PARTITIONS)
    written = write(cluster.bootstrap, "stopped", values("stopped", _RECORDS))
    reading = Reading(cluster.bootstrap, "stopped", _PARTITIONS)
    before = scrape(cluster.reader, "cauce_topic_bytes_out_total")
    reading.until(_RECORDS // 4)
    assert scrape(cluster.reader, "cauce_topic_bytes_out_total") > before
    assert cluster.reader.stop() == 0, cluster.reader.output
    reading.until(len(written))
    reading.close()
    assert in_order(reading.got)
    assert sorted(reading.got) == written
    cluster.reader.start()


def test_a_killed_reader_leaves_its_consumers_to_the_leaders(cluster: ReaderCluster) -> None:
    cluster.create_topic("killed", _PARTITIONS)
    written = write(cluster.bootstrap, "killed", values("killed", _RECORDS))
    reading = Reading(cluster.bootstrap, "killed", _PARTITIONS)
    before = scrape(cluster.reader, "cauce_topic_bytes_out_total")
    reading.until(_RECORDS // 4)
    assert scrape(cluster.reader, "cauce_topic_bytes_out_total") > before
    cluster.reader.kill()
    reading.until(len(written))
    reading.close()
    assert in_order(reading.got)
    assert sorted(reading.got) == written
    cluster.reader.start()
