"""The command line: what it prints, and when it exits 1."""

from pathlib import Path

import pytest

from tests.checker.__main__ import main
from tests.checker.history import write_history
from tests.checker.shorthand import in_transaction, polled, sent


def test_is_content_with_a_history_in_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    producer, consumer = tmp_path / "producer.jsonl", tmp_path / "consumer.jsonl"
    write_history(producer, [sent((0, 1, 0))])
    write_history(consumer, [polled((0, 0, 1))])

    assert main([str(producer), str(consumer)]) == 0
    assert capsys.readouterr().out == "2 operations, 1 values sent, 1 polled: 0 findings\n"


def test_prints_the_first_findings_of_each_kind_and_counts_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.jsonl"
    lost = [sent((0, value, value)) for value in range(3)]
    write_history(
        path, [*lost, sent((0, 3, 3)), in_transaction("t", sends=[(1, 4, 0)], committed=True), polled((0, 3, 3))]
    )

    assert main(["--most", "1", str(path)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == [
        "lost-write",
        "unseen",
        "6 operations, 5 values sent, 1 polled",
        "  3 lost-write",
        "  1 unseen",
    ]
    assert main(["--cut-off", str(path)]) == 1
    assert "unseen" not in capsys.readouterr().out
