"""A node's data folder: one node at a time, one node id for good, one format."""

import json
from pathlib import Path

import pytest

from cauce.data_folder import FORMAT, DataFolder
from infra.errors import BadStart


def test_one_node_at_a_time(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path / "data"), DataFolder(tmp_path / "data")
    first.lock()
    with pytest.raises(BadStart, match=r"a node is running on the data folder .*; stop it, or name another folder"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()
    second.unlock()  # harmless


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below"):
        with pytest.raises(BadStart, match=r"cannot be used: .*; name another"):
            DataFolder(path).lock()


def test_node_id_and_probed_bucket_are_kept(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "deep" / "data")
    folder.lock()
    assert folder.node_id() is None
    assert not folder.probed_bucket()
    folder.keep(3, "s3://a")
    folder.keep(4, "s3://b")
    folder.unlock()
    again = DataFolder(tmp_path / "deep" / "data")
    assert (again.node_id(), again.probed_bucket()) == (4, "s3://b")


def test_a_folder_of_an_earlier_release_has_probed_nothing(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text(json.dumps({"version": FORMAT, "node_id": 2}))
    assert (DataFolder(tmp_path).node_id(), DataFolder(tmp_path).probed_bucket()) == (2, "")


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (json.dumps({"version": FORMAT + 1, "node_id": 1}), rf"format {FORMAT + 1}, this release knows up to {FORMAT}"),
        (json.dumps({"version": FORMAT + 1}), r"use a newer release"),
        (json.dumps({"version": FORMAT}), "cannot be read"),
        (json.dumps([FORMAT, 1]), "cannot be read"),
        ("", "restore it, or name another data folder"),
        ("\0" * 40, "restore it, or name another data folder"),
    ],
)
def test_a_file_that_this_release_cannot_read(tmp_path: Path, kept: str, says: str) -> None:
    (tmp_path / "node.json").write_text(kept)
    with pytest.raises(BadStart, match=says):
        DataFolder(tmp_path).node_id()
