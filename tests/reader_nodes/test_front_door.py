"""Reader nodes through the front door: cold consumers go there and come back, and nothing is lost or told twice."""

from collections.abc import Iterator

import pytest

from tests.cauce.kept import write
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
