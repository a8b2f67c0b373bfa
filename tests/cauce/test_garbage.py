"""Garbage through the front door: what nothing needs leaves the bucket, and nothing else does."""

import json
from pathlib import Path

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually
from tests.cauce.commands import fails, works
from tests.cauce.kept import read, write

_EAGER = {
    "cauce.compaction.interval.ms": "100",
    "cauce.compaction.bytes": "1",
    "cauce.compaction.age.ms": "0",
    "cauce.flush.interval.ms": "50",
    "cauce.garbage.interval.ms": "100",
    "cauce.garbage.grace.ms": "500",
    "cauce.topic.undelete.ms": "0",
}
_OPTIONS = [word for name, value in _EAGER.items() for word in ("--set", f"{name}={value}")]


def test_only_what_is_needed_stays_in_the_bucket(tmp_path: Path) -> None:
    bucket, data = tmp_path / "bucket", ("--data", str(tmp_path))
    strange = bucket / "records" / "notes.txt"

    def objects(part: str) -> list[str]:
        """The objects with this in their key."""
        paths = [path for path in bucket.rglob("*") if path.is_file() and path != strange]
        return [key for path in paths if part in (key := path.relative_to(bucket).as_posix())]

    with CauceProcess(tmp_path, options=_OPTIONS) as node:
        at = ("-b", node.bootstrap)
        options = ("-p", "2", "-c", "cauce.durability=object", "--json", *at)
        ids = {topic: json.loads(works("topic", "create", topic, *options).out)["id"] for topic in ("kept", "gone")}
        written = {topic: [] for topic in ("kept", "gone")}
        for number in range(20):
            for topic, rows in written.items():
                rows += write(node.bootstrap, topic, [f"{topic}-{number}-{one}" for one in range(20)])
        strange.parent.mkdir(exist_ok=True)
        strange.write_text("mine")
        eventually("batch segments are gone", lambda: not objects("batches/"))
        for topic, rows in written.items():
            assert read(node.bootstrap, topic) == sorted(rows)

        works("topic", "delete", "gone", "--yes", *at)
        eventually("the topic is gone", lambda: not objects(ids["gone"]))
        assert "there is no deleted topic 'gone'" in fails("topic", "undelete", "gone", *data)
        assert read(node.bootstrap, "kept") == sorted(written["kept"])
        found = json.loads(works("bucket", "check", "--json", *data).out)
        assert (found["missing"], found["damaged"], found["unknown"]) == ([], [], ["records/notes.txt"])
        works("topic", "create", "gone", *at)
    assert strange.read_text() == "mine"
