"""What the earlier release wrote before anything was upgraded, and whether it is read back whole."""

from dataclasses import dataclass
from typing import Any

from infra.topic_config_table import DURABILITY
from tests.wire.client import Client, Sent
from tests.wire.confluent_client import ConfluentClient

_START_MS = 1_767_225_600_000  # 2026-01-01
_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_TOPICS: dict[str, dict[str, str]] = {
    "old.object": {"cauce.durability": "object"},
    "old.wal": {"cauce.durability": "wal"},
    "old.compacted": {"cleanup.policy": "compact"},
    "old.trimmed": {"max.message.bytes": "100000"},
}
_PARTITIONS = 3
_GROUP = "old.group"
_TRIMMED_BELOW = 7


@dataclass(frozen=True, slots=True)
class History:
    """All that can be read of it."""

    records: dict[str, list[Any]]  # topic → records, by partition and offset
    ends: dict[tuple[str, int], tuple[int, int]]
    committed: dict[tuple[str, int], int | None]
    configs: dict[str, dict[str, str | None]]


def write(bootstrap: str) -> History:
    """Topics of every kind, records of every codec, commits of a group; what is read of it at once."""
    client = ConfluentClient(bootstrap)
    for topic, configs in _TOPICS.items():
        client.create_topic(topic, _PARTITIONS, {"retention.ms": "-1", **configs})
        for codec in _CODECS:
            records = [one for partition in range(_PARTITIONS) for one in _records(codec, partition)]
            client.produce(topic, records, codec=codec, idempotent=codec == "lz4")
        for partition in range(_PARTITIONS):
            client.commit(_GROUP, topic, partition, 10 + partition)
    for partition in range(_PARTITIONS):
        client.delete_records("old.trimmed", partition, _TRIMMED_BELOW)
    found = read(bootstrap)
    assert {topic: len(rows) for topic, rows in found.records.items()} == {topic: _count(topic) for topic in _TOPICS}
    return found


def read(bootstrap: str) -> History:
    """It, as whoever asks `bootstrap` sees it."""
    client = ConfluentClient(bootstrap)
    places = [(topic, partition) for topic in _TOPICS for partition in range(_PARTITIONS)]
    return History(
        {topic: _read(client, topic) for topic in _TOPICS},
        {place: client.watermarks(*place) for place in places},
        {place: client.committed(_GROUP, *place) for place in places},
        {topic: client.topic_config(topic) for topic in _TOPICS},
    )


def differences(one: History, other: History) -> list[str]:
    """A sentence for each part that is not the same. Configs that one release alone knows make no difference."""
    found = [f"records of {topic}" for topic in one.records if one.records[topic] != other.records[topic]]
    found += [f"watermarks of {place}" for place in one.ends if one.ends[place] != other.ends[place]]
    found += [f"commits of {place}" for place in one.committed if one.committed[place] != other.committed[place]]
    for topic, configs in one.configs.items():
        for name in configs.keys() & other.configs[topic].keys():
            # Where a durability is nowhere set, 0.1.0 tells an empty one, and later releases that of the node.
            unset = name == DURABILITY and DURABILITY not in _TOPICS[topic]
            if configs[name] != other.configs[topic][name] and not unset:
                found.append(f"{name} of {topic}")
    return found


def _records(codec: str, partition: int) -> list[Sent]:
    values = [f"{codec} in {partition}".encode(), None, b"\xff\xfe\x00", b"", b"long " * 200]
    return [
        Sent(
            value,
            f"{codec} {number}".encode(),  # none comes again, so that cleaning leaves all of them
            (("codec", codec.encode()), ("nothing", None)) if number % 2 else (),
            _START_MS + 1000 * number,
            partition,
        )
        for number, value in enumerate(values)
    ]


def _count(topic: str) -> int:
    whole = len(_CODECS) * len(_records("none", 0))
    return _PARTITIONS * (whole - _TRIMMED_BELOW if topic == "old.trimmed" else whole)


def _read(client: Client, topic: str) -> list[Any]:
    return sorted(client.read(topic, _count(topic)), key=lambda one: one.place)
