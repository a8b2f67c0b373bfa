"""`cauce recover` as its user sees it."""

import shutil
from pathlib import Path

import pytest

from cauce.testing import CauceProcess
from tests.cauce.commands import ends, fails, works
from tests.cauce.kept import read, write

_SETTINGS = ("cauce.durability=object", "cauce.flush.interval.ms=20", "cauce.roles=ingest,reader")
_OPTIONS = [word for setting in _SETTINGS for word in ("--set", setting)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a node that has stopped; its topic has one partition and several batch segments."""
    folder = tmp_path_factory.mktemp("recover")
    with CauceProcess(folder, options=_OPTIONS) as node:
        for part in range(4):
            write(node.bootstrap, "kept", [f"{part}-{number}" for number in range(50)])
    return folder


def test_what_would_be_done_and_what_is(data: Path) -> None:
    place = ("--data", str(data))
    says = works("recover", *place, "--dry-run").lines
    assert says[0].split()[:2] == ["topic", "partition"]
    assert says[1].split()[:6] == ["kept", "0", "0", "0", "200", "200"]
    assert says[-1] == "would mend 0 ledgers of the bucket, and build the view of 1 partitions in Redis"
    before = sorted(path for path in (data / "bucket").rglob("*") if path.is_file())
    shutil.rmtree(data / "redis")
    done = works("recover", *place, "--json").json  # no node runs: its Redis is started for this
    assert done["incarnation"]
    [row] = done["partitions"]
    assert (row["topic"], row["whole_up_to"], row["end_offset"], row["missing"]) == ("kept", 200, 200, [])
    assert sorted(path for path in (data / "bucket").rglob("*") if path.is_file()) == before
    with CauceProcess(data, options=_OPTIONS) as node:
        assert len(read(node.bootstrap, "kept")) == 200
        again = works("recover", *place, "--json").json  # with the node running
        assert again["incarnation"] != done["incarnation"]
        assert len(write(node.bootstrap, "kept", ["more"])) == 1
        assert len(read(node.bootstrap, "kept")) == 201


def test_what_is_missing_ends_it_with_1(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "bucket", tmp_path / "bucket")
    sorted((tmp_path / "bucket" / "batches").rglob("*.parquet"))[1].unlink()
    done = ends("recover", "--data", str(tmp_path), "--dry-run")
    assert done.code == 1
    assert "are missing" in done.out
    assert not (tmp_path / "redis").exists()


def test_which_redis(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bucket = ("--bucket", (data / "bucket").as_uri())
    assert "--redis or CAUCE_REDIS" in fails("recover", *bucket)
    says = fails("recover", *bucket, "--redis", "redis://:hunter2@127.0.0.1:1")
    assert says.startswith("Redis, reading the incarnation:")
    assert "hunter2" not in says
    assert "no bucket" in fails("recover", "--data", str(tmp_path))
