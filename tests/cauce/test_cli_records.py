"""`cauce produce` and `cauce consume` against a real node."""

import json
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cauce.testing import CauceProcess
from tests.cauce.commands import environment, fails, run, runs, works


def _rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(scope="module")
def at(cauce_bootstrap: str) -> tuple[str, str]:
    return ("-b", cauce_bootstrap)


@pytest.fixture(scope="module")
def timed(at: tuple[str, str]) -> str:
    """A topic of one partition with ten records, a minute apart from 2026-01-31 on."""
    works("topic", "create", "cli-timed", *at)
    start = int(datetime(2026, 1, 31, tzinfo=UTC).timestamp() * 1000)
    lines = [json.dumps({"value": f"v{n}", "timestamp": start + n * 60_000}) for n in range(10)]
    works("produce", "cli-timed", "-J", *at, stdin="\n".join(lines))
    return "cli-timed"


def test_text_lines(at: tuple[str, str]) -> None:
    works("topic", "create", "cli-text", *at)
    assert runs("produce", "cli-text", *at, stdin="one\n\nthree: 3\r\nünï").out == ""
    assert runs("consume", "cli-text", *at).lines == ["one", "", "three: 3", "ünï"]


def test_keys_before_a_separator(at: tuple[str, str]) -> None:
    words = ("--compression", "gzip", "--acks", "1", "--json")
    done = runs("produce", "cli-keys", "-K", "::", *words, *at, stdin="a::1\nb::2::3\n::4\n")
    assert done.json == {"topic": "cli-keys", "records": 3}
    assert sorted(runs("consume", "cli-keys", "-K", "=", *at).lines) == ["=4", "a=1", "b=2::3"]


def test_bytes_that_are_no_text(at: tuple[str, str]) -> None:
    runs("produce", "cli-bytes", *at, stdin=b"\xff\xfe\x00\n")
    [row] = _rows(runs("consume", "cli-bytes", "--json", *at).out)
    assert row["value"] == "\\xff\\xfe\x00"


def test_json_lines_carry_everything(at: tuple[str, str]) -> None:
    works("topic", "create", "cli-json", "-p", "2", *at)
    lines = [
        {"key": "k", "value": "ü", "headers": {"a": "1", "b": None}, "timestamp": 1_700_000_000_000, "partition": 1},
        {"key": "gone", "value": None, "partition": 1},
        {"value": {"nested": [1, True]}, "headers": [["a", "1"], ["a", "2"]], "partition": 0},
    ]
    works("produce", "cli-json", "-J", *at, stdin="\n\n".join(map(json.dumps, lines)))
    first, tombstone = _rows(works("consume", "cli-json", "-p", "1", "--json", *at).out)
    assert first == {
        "topic": "cli-json",
        "partition": 1,
        "offset": 0,
        "timestamp": 1_700_000_000_000,
        "key": "k",
        "value": "ü",
        "headers": [["a", "1"], ["b", None]],
    }
    assert (tombstone["key"], tombstone["value"], tombstone["headers"]) == ("gone", None, [])
    printed = works("consume", "cli-json", "-p", "0", "--json", *at).out
    [nested] = _rows(printed)
    assert json.loads(nested["value"]) == {"nested": [1, True]}
    assert nested["headers"] == [["a", "1"], ["a", "2"]]
    works("produce", "cli-json-again", "-J", *at, stdin=printed)  # what consume prints, produce reads
    [again] = _rows(works("consume", "cli-json-again", "--json", *at).out)
    assert again | {"topic": "cli-json"} == nested


def test_where_reading_begins_and_ends(at: tuple[str, str], timed: str) -> None:
    def read(*words: str) -> list[str]:
        return works("consume", timed, *words, *at).lines

    assert read("--limit", "3") == ["v0", "v1", "v2"]
    assert read("-o", "8") == ["v8", "v9"]
    assert read("-o", "10") == read("-o", "end") == []
    assert read("--from-time", "2026-01-31T00:07:30Z") == ["v8", "v9"]
    assert read("--from-time", "2026-01-31", "-n", "1") == ["v0"]
    assert read("--from-time", "2026-02-01") == []
    assert read("--from-time", "0", "-n", "1") == read("--from-time", "1900-01-01", "-n", "1") == ["v0"]


def test_following_goes_on_until_interrupted(at: tuple[str, str]) -> None:
    works("topic", "create", "cli-follow", *at)
    works("produce", "cli-follow", *at, stdin="first\n")
    command = [sys.executable, "-m", "cauce", "consume", "cli-follow", "--follow", *at]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    watchdog = threading.Timer(60, reader.kill)
    watchdog.start()
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "first\n"
        works("produce", "cli-follow", *at, stdin="second\n")
        assert reader.stdout.readline() == "second\n"
        reader.send_signal(signal.SIGINT)
        out, err = reader.communicate()
        assert (out, err, reader.returncode) == ("", "", 130)
    finally:
        watchdog.cancel()
        reader.kill()


def test_a_reader_that_leaves_is_no_failure(at: tuple[str, str]) -> None:
    works("produce", "cli-pipe", *at, stdin=b"x" * 200 + b"\n" + b"y\n" * 100_000)
    command = [sys.executable, "-m", "cauce", "consume", "cli-pipe", *at]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    assert reader.stdout is not None
    assert reader.stderr is not None
    reader.stdout.readline()
    reader.stdout.close()
    assert reader.stderr.read() == b""
    assert reader.wait(60) == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "line 2 is no record: it is not JSON"),
        ("[1]", 'line 2 is no record: it is not an object such as {"key": "k", "value": "v"}'),
        ('{"vlaue": "x"}', "line 2 is no record: it has the unknown field 'vlaue'; known are headers, key"),
        ('{"value": "x", "timestamp": "noon"}', "its timestamp is 'noon', not a whole number from 0 on"),
        ('{"value": "x", "headers": "x"}', 'its headers are neither {"name": "value"} nor'),
        ('{"value": "x", "partition": 77}', "nknown partition"),
    ],
)
def test_lines_that_are_no_records(at: tuple[str, str], line: str, says: str) -> None:
    sentence = fails("produce", "cli-lines", "-J", *at, stdin=f'{{"value": "good"}}\n{line}\n')
    assert sentence.startswith("1 records were written to 'cli-lines', then: "), sentence
    assert says in sentence


def test_what_cannot_be_written(at: tuple[str, str]) -> None:
    assert "'no/name' is not a topic name" in fails("produce", "no/name", *at, stdin="x\n")
    assert "no '|' between key and value" in fails("produce", "cli-lines", "-K", "|", *at, stdin="x\n")
    assert "--key-separator is empty" in fails("produce", "cli-lines", "-K", "", *at, stdin="x\n")
    assert "'7z' is none of none, gzip" in fails("produce", "cli-lines", "--compression", "7z", *at, stdin="x\n")
    assert "'some' is none of 0, 1, all" in fails("produce", "cli-lines", "--acks", "some", *at, stdin="x\n")
    large = fails("produce", "cli-lines", "--compression", "none", *at, stdin="x" * 1_100_000)
    assert large.startswith("0 records were written to 'cli-lines', then: ")
    assert "too large" in large


def test_a_cluster_that_creates_no_topics_by_itself(tmp_path: Path) -> None:
    with CauceProcess(tmp_path, options=["--set", "auto.create.topics.enable=false"]) as node:
        here = ("-b", node.bootstrap)
        says = "there is no topic 'unasked'; create it with `cauce topic create unasked`"
        assert fails("produce", "unasked", *here, stdin="x\n") == says
        assert works("topic", "list", "--json", *here).json == []
        works("topic", "create", "unasked", *here)
        works("produce", "unasked", *here, stdin="x\n")


def test_what_cannot_be_read(at: tuple[str, str], timed: str) -> None:
    assert "there is no topic 'cli-none'" in fails("consume", "cli-none", *at)
    assert "no partition 5; it has 0 to 0" in fails("consume", timed, "-p", "5", *at)
    assert "write beginning, end or a number" in fails("consume", timed, "-o", "middle", *at)
    assert "write beginning, end or a number" in fails("consume", timed, "-o", "-5", *at)
    assert "beyond the end of 'cli-timed', which is at 10" in fails("consume", timed, "-o", "11", *at)
    assert "write 2026-01-31T12:00:00Z" in fails("consume", timed, "--from-time", "yesterday", *at)
    assert run("consume", timed, "--limit", "0", *at).code == 2  # how typer refuses what an option says
