"""Retention and cleaning through the front door: topic configs, a node's own compactor, and what is left."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually
from tests.cauce.kept import Row, write
from tests.cauce.test_compaction import Bucket

_PARTITIONS = 3
_EAGER = {
    "cauce.compaction.interval.ms": "100",
    "cauce.compaction.bytes": "1",
    "cauce.compaction.age.ms": "0",
    "cauce.flush.interval.ms": "50",
    "log.retention.check.interval.ms": "100",
    "log.cleaner.backoff.ms": "100",
}
_OPTIONS = [word for name, value in _EAGER.items() for word in ("--set", f"{name}={value}")]


def create(node: CauceProcess, topic: str, configs: Mapping[str, str]) -> None:
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    admin.create_topics([NewTopic(topic, _PARTITIONS, config=dict(configs))])[topic].result(30)


def ends(written: list[Row]) -> list[int]:
    """Per partition, one past the last offset."""
    return [max(offset for at, offset, *_ in written if at == number) + 1 for number in range(_PARTITIONS)]


@pytest.mark.timeout(240)
def test_a_topic_that_is_compacted_keeps_the_newest_of_each_key(tmp_path: Path) -> None:
    bucket = Bucket((tmp_path / "bucket").as_uri(), "newest")
    with CauceProcess(tmp_path, options=_OPTIONS) as node:
        create(node, "newest", {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"})
        written: list[Row] = []
        for _ in range(4):
            written += write(node.bootstrap, "newest", [f"key-{number}" for number in range(200)] * 3)
        upto = ends(written)
        eventually("all is clean", lambda: [one.cleaned_upto for one in bucket.manifests()] == upto)
        newest = {(partition, key): offset for partition, offset, key, _ in sorted(written)}
        assert [row[:3] for row in bucket.rows()] == sorted((at, offset, key) for (at, key), offset in newest.items())


@pytest.mark.timeout(240)
def test_records_past_retention_ms_are_gone_for_consumers(tmp_path: Path) -> None:
    bucket = Bucket((tmp_path / "bucket").as_uri(), "short")
    with CauceProcess(tmp_path, options=_OPTIONS) as node:
        create(node, "short", {"retention.ms": "1"})
        upto = ends(write(node.bootstrap, "short", [f"value-{number}" for number in range(500)]))
        eventually("all is expired", lambda: [one.log_start_offset for one in bucket.manifests()] == upto)
        assert all(one.segments == () and one.producers_upto == one.log_start_offset for one in bucket.manifests())
        consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "nobody"})

        def begins() -> list[int]:
            places = [TopicPartition("short", number) for number in range(_PARTITIONS)]
            return [consumer.get_watermark_offsets(place, timeout=10)[0] for place in places]

        eventually("the leader follows", lambda: begins() == upto)
        more = write(node.bootstrap, "short", ["one", "two", "three"])
        assert all(offset >= upto[partition] for partition, offset, *_ in more)
        consumer.close()
