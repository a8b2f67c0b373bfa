"""`cauce topic …` against a real node."""

import json

from tests.cauce.commands import fails, run, runs, works


def test_the_life_of_a_topic(cauce_bootstrap: str) -> None:
    at = ("-b", cauce_bootstrap)
    created = runs("topic", "create", "cli-life", "-p", "2", "-c", "retention.ms=3600000", "--json", *at).json
    assert (created["topic"], created["partitions"]) == ("cli-life", 2)
    listed = {row["topic"]: row for row in runs("topic", "list", "--json", *at).json}
    assert listed["cli-life"] == {"topic": "cli-life", "partitions": 2, "id": created["id"]}
    words = ("-c", "cleanup.policy=compact,delete", "--delete-config", "retention.ms", "-p", "3")
    assert runs("topic", "alter", "cli-life", *words, *at).lines == ["topic cli-life altered"]
    described = runs("topic", "describe", "cli-life", "--json", *at).json
    assert (described["topic"], described["id"]) == ("cli-life", created["id"])
    assert [sorted(row.items()) for row in described["partitions"]] == [
        [("high_watermark", 0), ("leader", 1), ("leader_epoch", 0), ("log_start", 0), ("partition", number)]
        for number in range(3)
    ]
    configs = described["configs"]
    assert (configs["cleanup.policy"]["value"], configs["cleanup.policy"]["own"]) == ("compact,delete", True)
    assert (configs["retention.ms"]["value"], configs["retention.ms"]["own"]) == ("604800000", False)
    assert configs["retention.ms"]["documentation"]
    assert (configs["cauce.durability"]["value"], configs["cauce.durability"]["own"]) == ("wal", False)
    assert "synced on its leader's disk" in described["promises"]
    runs("topic", "alter", "cli-life", "-c", "cauce.durability=object", *at)
    assert "is in the bucket" in runs("topic", "describe", "cli-life", "--json", *at).json["promises"]
    assert runs("topic", "delete", "cli-life", "--yes", "--json", *at).json == {"topic": "cli-life", "deleted": True}
    assert "there is no topic 'cli-life'" in fails("topic", "describe", "cli-life", *at)


def test_tables_are_for_people(cauce_bootstrap: str) -> None:
    at = ("-b", cauce_bootstrap)
    assert works("topic", "create", "cli-table", *at).lines == ["topic cli-table created with 1 partitions"]
    listed = works("topic", "list", "--internal", *at).lines
    assert listed[0].split() == ["topic", "partitions", "id"]
    assert any(line.split()[:2] == ["cli-table", "1"] for line in listed)
    described = works("topic", "describe", "cli-table", *at).lines
    assert described[0].startswith("topic cli-table, id ")
    assert described[1].startswith("durability wal: what is acknowledged with acks=all is synced")
    assert ["0", "1", "0", "0", "0"] in [line.split() for line in described]
    assert ["retention.ms", "604800000"] in [line.split() for line in described]


def test_the_bootstrap_can_stand_in_the_environment(cauce_bootstrap: str) -> None:
    assert json.loads(runs("topic", "list", "--json", more=[("CAUCE_BOOTSTRAP", cauce_bootstrap)]).out) is not None


def test_deleting_asks_first(cauce_bootstrap: str) -> None:
    at = ("-b", cauce_bootstrap)
    works("topic", "create", "cli-ask", *at)
    refused = run("topic", "delete", "cli-ask", *at, stdin="n\n")
    assert refused.code == 1
    assert refused.err.endswith("cauce: nothing was deleted\n")
    agreed = run("topic", "delete", "cli-ask", *at, stdin="y\n")
    assert agreed.code == 0
    assert agreed.out.endswith("topic cli-ask deleted\n")


def test_what_cannot_be_is_refused_with_a_sentence(cauce_bootstrap: str) -> None:
    at = ("-b", cauce_bootstrap)
    works("topic", "create", "cli-taken", *at)
    create = ("topic", "create")
    assert fails(*create, "cli-taken", *at) == "topic 'cli-taken' exists already"
    assert "may hold only ASCII letters" in fails(*create, "cli/bad", *at)
    assert "the number of partitions must be 1 to" in fails(*create, "cli-none", "-p", "0", *at)
    assert "unknown topic config 'retention'" in fails(*create, "cli-none", "-c", "retention=1", *at)
    assert "must be a whole number" in fails(*create, "cli-none", "-c", "retention.ms=week", *at)
    assert "choose the codec in the producer" in fails(*create, "cli-none", "-c", "compression.type=zstd", *at)
    assert "for example --config retention.ms=3600000" in fails(*create, "cli-none", "-c", "retention.ms", *at)
    alter = ("topic", "alter", "cli-taken")
    assert fails(*alter, *at).startswith("nothing to alter; give --config")
    assert "has 1 partitions already" in fails(*alter, "-p", "1", *at)
    assert "unknown config 'nope'" in fails(*alter, "--delete-config", "nope", *at)
    assert "`cauce topic list` shows those that are" in fails("topic", "alter", "cli-none", "-p", "2", *at)
    assert "`cauce topic list` shows those that are" in fails("topic", "delete", "cli-none", "-y", *at)
