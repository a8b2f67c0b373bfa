"""`cauce group …` against a real node."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer

from tests.cauce.commands import fails, runs, works


@pytest.fixture(scope="module")
def at(cauce_bootstrap: str) -> tuple[str, str]:
    return ("-b", cauce_bootstrap)


@pytest.fixture(scope="module")
def topic(at: tuple[str, str]) -> str:
    """Two partitions; partition 1 has five records from 1000 ms on, a second apart."""
    works("topic", "create", "cli-grouped", "-p", "2", *at)
    lines = [f'{{"value": "v", "partition": 1, "timestamp": {1000 * (n + 1)}}}' for n in range(5)]
    works("produce", "cli-grouped", "-J", *at, stdin="\n".join(lines))
    return "cli-grouped"


@pytest.fixture
def member(cauce_bootstrap: str, topic: str) -> Iterator[Consumer]:
    """A consumer that has joined its group and committed what it read."""
    options = {"bootstrap.servers": cauce_bootstrap, "group.id": "cli-live", "client.id": "reader"}
    consumer = Consumer({**options, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    read = consumer.consume(5, 30.0)
    assert len(read) == 5
    consumer.commit(message=read[2], asynchronous=False)
    yield consumer
    consumer.close()


def test_resetting_and_describing(at: tuple[str, str], topic: str) -> None:
    def reset(*words: str) -> list[int]:
        done = works("group", "reset", "cli-group", "--topic", topic, "--json", *words, *at).json
        assert (done["group"], done["dry_run"]) == ("cli-group", "--dry-run" in words)
        return [row["offset"] for row in done["offsets"]]

    assert reset("--to", "latest") == [0, 5]
    assert reset("--to", "earliest", "--dry-run") == [0, 0]
    assert works("group", "describe", "cli-group", "--json", *at).json == {
        "group": "cli-group",
        "state": "Empty",
        "members": [],
        "offsets": [
            {"topic": topic, "partition": 0, "committed": 0, "high_watermark": 0, "lag": 0},
            {"topic": topic, "partition": 1, "committed": 5, "high_watermark": 5, "lag": 0},
        ],
    }
    assert reset("--to", "2", "-p", "1") == [2]
    assert reset("--to", "99") == [0, 5]
    assert reset("--to", "1970-01-01T00:00:02.500Z") == [0, 2]
    lines = runs("group", "describe", "cli-group", *at).lines
    assert lines[0] == "group cli-group, Empty, 0 members"
    assert [topic, "1", "2", "5", "3"] in [line.split() for line in lines]
    listed = works("group", "list", "--json", *at).json
    assert {"group": "cli-group", "state": "Empty", "protocol": ""} in listed


def test_a_group_with_members(at: tuple[str, str], topic: str, member: Consumer) -> None:
    described = works("group", "describe", "cli-live", "--json", *at).json
    assert described["state"] == "Stable"
    [row] = described["members"]
    assert (row["client"], row["host"]) == ("reader", "/127.0.0.1")
    assert {"topic": topic, "partition": 1, "committed": 3, "high_watermark": 5, "lag": 2} in described["offsets"]
    listed = runs("group", "list", *at).lines
    assert ["cli-live", "Stable", "consumer"] in [line.split() for line in listed]
    says = fails("group", "reset", "cli-live", "--topic", topic, "--to", "earliest", *at)
    assert says == "group 'cli-live' has members; stop its consumers first"


def test_offsets_of_a_topic_that_was_deleted(at: tuple[str, str], topic: str) -> None:
    works("produce", "cli-passing", *at, stdin="x\n")
    for name in (topic, "cli-passing"):
        works("group", "reset", "cli-after", "--topic", name, "--to", "latest", *at)
    works("topic", "delete", "cli-passing", "-y", *at)
    rows = works("group", "describe", "cli-after", "--json", *at).json["offsets"]
    assert [row["lag"] for row in rows if row["topic"] == topic] == [0, 0]
    # They go with their topic; whether they have gone yet or not, the command answers.
    assert {row["lag"] for row in rows if row["topic"] == "cli-passing"} <= {None}


def test_what_cannot_be(at: tuple[str, str], topic: str) -> None:
    assert "`cauce group list` shows those that are" in fails("group", "describe", "cli-none", *at)
    reset = ("group", "reset", "cli-none", *at)
    assert "there is no topic 'nope'" in fails(*reset, "--topic", "nope", "--to", "latest")
    assert "no partition 9; it has 0 to 1" in fails(*reset, "--topic", topic, "--to", "latest", "-p", "9")
    says = fails(*reset, "--topic", topic, "--to", "newest")
    assert says == "'newest' is not a time; write earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z"
