"""Deleted topics that come back, topics that cannot be deleted, and a bucket that is checked while a node runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually
from tests.cauce.commands import fails, run, works
from tests.cauce.kept import read, write


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CauceProcess]:
    options = ["--set", "cauce.view.repair.interval.ms=200"]
    with CauceProcess(tmp_path_factory.mktemp("node"), options=options) as running:
        yield running


def test_an_undeleted_topic_has_every_record_and_goes_on(node: CauceProcess) -> None:
    at, data = ("-b", node.bootstrap), ("--data", str(node.data))
    works("topic", "create", "back", "-p", "2", "-c", "retention.ms=86400000", *at)
    written = write(node.bootstrap, "back", [f"value-{number}" for number in range(500)])
    works("topic", "delete", "back", "--yes", *at)
    eventually("the topic is gone", lambda: "back" not in _topics(node))
    back = json.loads(works("topic", "undelete", "back", "--json", *data).out)
    assert (back["topic"], back["partitions"]) == ("back", 2)
    eventually("the topic is back", lambda: "back" in _topics(node))
    assert read(node.bootstrap, "back") == written
    written += write(node.bootstrap, "back", ["one more"])
    assert read(node.bootstrap, "back") == sorted(written)
    assert "is not deleted" in fails("topic", "undelete", "back", *data)


def test_what_cannot_be_undeleted_is_refused_with_a_sentence(node: CauceProcess) -> None:
    at, data = ("-b", node.bootstrap), ("--data", str(node.data))
    assert "there is no deleted topic 'never'" in fails("topic", "undelete", "never", *data)
    first = json.loads(works("topic", "create", "twice", "--json", *at).out)["id"]
    works("topic", "delete", "twice", "--yes", *at)
    works("topic", "create", "twice", *at)
    assert "another topic has the name 'twice'" in fails("topic", "undelete", "twice", "--topic-id", first, *data)
    assert "is not deleted" not in fails("topic", "undelete", "twice", *data)
    missing = "00000000-0000-4000-8000-000000000000"
    assert "had the id" in fails("topic", "undelete", "twice", "--topic-id", missing, *data)
    assert "there is no bucket in" in fails("topic", "undelete", "twice", "--data", str(node.data / "nowhere"))


def test_a_protected_topic_is_not_deleted(node: CauceProcess) -> None:
    at = ("-b", node.bootstrap)
    works("topic", "create", "kept", "-c", "cauce.deletion.protection=true", *at)
    assert "set its config cauce.deletion.protection=false first" in fails("topic", "delete", "kept", "-y", *at)
    works("topic", "alter", "kept", "-c", "cauce.deletion.protection=false", *at)
    works("topic", "delete", "kept", "-y", *at)


def test_a_bucket_is_checked_and_mended_while_a_node_runs(node: CauceProcess) -> None:
    data, bucket = ("--data", str(node.data)), node.data / "bucket"
    works("topic", "create", "checked", "-c", "cauce.durability=object", "-b", node.bootstrap)
    written = write(node.bootstrap, "checked", ["a", "b"])
    assert works("bucket", "check", *data).lines[-1].endswith("objects: 0 missing, 0 unreferenced, 0 damaged")
    (bucket / "probe").mkdir(exist_ok=True)
    (bucket / "probe" / "left").write_text("probe")
    (bucket / "notes.txt").write_text("mine")
    found = json.loads(works("bucket", "check", "--json", *data).out)
    assert [row["key"] for row in found["unreferenced"]] == ["probe/left"]
    assert found["unknown"] == ["notes.txt"]
    assert json.loads(works("bucket", "check", "--mend", "--json", *data).out)["mended"]["waiting"] == 1
    done = json.loads(works("bucket", "check", "--mend", "--grace-ms", "0", "--json", *data).out)
    assert done["mended"]["deleted"] == ["probe/left"]
    assert read(node.bootstrap, "checked") == written
    shown = works("bucket", "check", *data).lines
    assert "notes.txt is no object of a Cauce bucket: it is left alone" in shown


def test_damage_ends_the_check_with_one(tmp_path: Path) -> None:
    with CauceProcess(tmp_path) as node:
        write(node.bootstrap, "hurt", ["a"], **{"allow.auto.create.topics": True})
    segment = next((tmp_path / "bucket" / "batches").rglob("*.parquet"))
    segment.write_bytes(segment.read_bytes()[:-9])
    done = run("bucket", "check", "--data", str(tmp_path))
    assert done.code == 1
    assert "does not end as a Parquet file" in done.out
    assert done.lines[-1].endswith("0 missing, 0 unreferenced, 1 damaged")


def _topics(node: CauceProcess) -> set[str]:
    return {row["topic"] for row in json.loads(works("topic", "list", "--json", "-b", node.bootstrap).out)}
