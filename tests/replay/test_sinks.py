"""Every sink: what is written once, in pieces, or with a kill in between, reads back as the same records."""

import base64
import csv
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.errors import Refused
from infra.records.record import Record
from reader.replay.duckdb import arrow_reader, connect
from reader.replay.request import BYTES, TEXT, ReplayRequest
from reader.replay.sinks.open import open_sink
from reader.replay.transfer import Transfer
from tests.replay.listed import ListedSession
from tests.replay.world import record

TOPIC = {
    0: [record(at) for at in range(95)],
    1: [
        record(3, key=None, value=None, headers=()),
        record(4, key=b"", value=b"\xff\x00"),
        record(7, key=b"\x80", value='ünï "quoted", with\nlines'.encode(), headers=((b"a", None), (b"\xff", b"\xfe"))),
        record(8, timestamp=-1, value=b""),
    ],
    2: [],
}


def _arrow(path: Path) -> pa.Table:
    return pa.ipc.open_file(str(path)).read_all()


def _parquet(path: Path) -> pa.Table:
    parts = sorted(path.glob("*.parquet"))
    assert [one.name for one in path.iterdir() if one not in parts] == []
    return pa.concat_tables([pq.read_table(part) for part in parts]).cast(BYTES)


def _table(path: Path) -> pa.Table:
    with connect(str(path)) as duckdb:
        assert duckdb.execute("select table_name from duckdb_tables()").fetchall() == [("rows",)]
        return arrow_reader(duckdb, 'select * from rows order by partition, "offset"').read_all().cast(TEXT)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().decode().split("\n")[:-1]]


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for row in rows:
        row["partition"], row["offset"] = int(row["partition"]), int(row["offset"])
        row["headers"] = json.loads(row["headers"])
    return rows


Read = Callable[[Path], Any]
FILES: list[tuple[str, Read]] = [("out.arrow", _arrow), ("folder", _parquet), ("out.jsonl", _lines), ("out.csv", _rows)]
SINKS = [*FILES, ("duckdb:out.db?table=rows", _table)]


def _where(folder: Path, to: str) -> tuple[str, Path]:
    """(what stands behind --to, the file)"""
    if to.startswith("duckdb:"):
        return to.replace("duckdb:", f"duckdb:{folder}/"), folder / "out.db"
    return str(folder / to), folder / to


def _transfer(
    to: str, session: ListedSession, *, resume: bool = False, stop_after: int | None = None, step: int = 1
) -> Any:
    """Run a transfer that commits after each `step` bytes; with `stop_after` it is stopped after so many batches."""
    sink = open_sink(to, topic="listed")
    sink.commit_bytes = step
    try:
        stop = threading.Event()
        transfer = Transfer(session, sink, resume=resume, stop=stop)
        batches = 0

        def observe(*_: int) -> None:
            nonlocal batches
            batches += 1
            if batches == stop_after:
                stop.set()

        return transfer.run(observe)
    finally:
        sink.close()


def _value(text: str | None, row: dict[str, Any], name: str) -> bytes | None:
    if text is None:
        return None
    return base64.b64decode(text) if name in (row.get("base64") or "").split() else text.encode()


def _records(rows: list[dict[str, Any]]) -> list[tuple[int, Record]]:
    """What lines of JSON (or CSV) say, with the bytes that they stand for."""
    found = []
    for row in rows:
        moment = datetime.fromisoformat(row["timestamp"])
        assert moment.tzinfo == UTC
        headers = tuple((_value(one["key"], one, "key"), _value(one["value"], one, "value")) for one in row["headers"])
        key, value = _value(row["key"], row, "key"), _value(row["value"], row, "value")
        found.append((row["partition"], Record(row["offset"], round(moment.timestamp() * 1000), key, value, headers)))
    return found


EXPECTED = [(partition, one) for partition, records in TOPIC.items() for one in records]


def test_json_lines_hold_every_byte(tmp_path: Path) -> None:
    _transfer(str(tmp_path / "out.jsonl"), ListedSession(TOPIC))
    assert _records(_lines(tmp_path / "out.jsonl")) == EXPECTED


def test_csv_holds_every_byte_and_leaves_nulls_empty(tmp_path: Path) -> None:
    _transfer(str(tmp_path / "out.csv"), ListedSession(TOPIC))
    rows = _rows(tmp_path / "out.csv")
    for row, (_, one) in zip(rows, EXPECTED, strict=True):
        if one.key is None and row["key"] == "":
            row["key"] = None
        if one.value is None and row["value"] == "":
            row["value"] = None
    assert _records(rows) == EXPECTED
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[96].split(",")[3:5] == ["", ""]  # null is nothing, an empty text is ""
    assert lines[97].split(",")[3] == '""'


@pytest.mark.parametrize(("to", "read"), [SINKS[0], SINKS[1], SINKS[4]])
def test_columns_come_back_as_they_were(tmp_path: Path, to: str, read: Read) -> None:
    where, path = _where(tmp_path, to)
    session = ListedSession(TOPIC)
    summary = _transfer(where, session)
    assert (summary.records, summary.written, summary.complete) == (99, 99, True)
    found = read(path)
    assert found.to_pylist() == session.expected(TEXT if to.startswith("duckdb") else BYTES).to_pylist()


@pytest.mark.parametrize(("to", "read"), SINKS)
@pytest.mark.parametrize("step", [3000, 1 << 30])
def test_a_stop_loses_and_repeats_nothing(tmp_path: Path, to: str, read: Read, step: int) -> None:
    once, stopped = _where(tmp_path / "once", to), _where(tmp_path / "stopped", to)
    _transfer(once[0], ListedSession(TOPIC))
    first = _transfer(stopped[0], ListedSession(TOPIC), stop_after=3, step=step)
    assert (first.records, first.complete) == (30, False)
    second = _transfer(stopped[0], ListedSession(TOPIC), resume=True, stop_after=2, step=step)
    assert (second.records, second.written, second.complete) == (50, 20, False)
    third = _transfer(stopped[0], ListedSession(TOPIC), resume=True, step=step)
    assert (third.records, third.complete) == (99, True)
    assert _same(read(stopped[1]), read(once[1]))


@pytest.mark.parametrize(("to", "read"), SINKS)
@pytest.mark.parametrize("step", [3000, 1 << 30])
def test_a_failure_between_commits_loses_and_repeats_nothing(tmp_path: Path, to: str, read: Read, step: int) -> None:
    once, failed = _where(tmp_path / "once", to), _where(tmp_path / "failed", to)
    _transfer(once[0], ListedSession(TOPIC))
    with pytest.raises(ConnectionError):
        _transfer(failed[0], ListedSession(TOPIC, fails_after=4), step=step)
    with pytest.raises(ConnectionError):
        _transfer(failed[0], ListedSession(TOPIC, fails_after=1), resume=True, step=step)
    assert _transfer(failed[0], ListedSession(TOPIC), resume=True, step=step).records == 99
    assert _same(read(failed[1]), read(once[1]))


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, pa.Table):
        return bool(left.combine_chunks().equals(right.combine_chunks()))
    return bool(left == right)


@pytest.mark.parametrize(("to", "_read"), SINKS)
def test_what_is_there_is_not_written_over(tmp_path: Path, to: str, _read: Read) -> None:
    where, _ = _where(tmp_path, to)
    _transfer(where, ListedSession(TOPIC))
    with pytest.raises(Refused, match="there already"):
        _transfer(where, ListedSession(TOPIC))


@pytest.mark.parametrize(("to", "_read"), SINKS)
def test_an_unfinished_replay_goes_on_only_as_the_same(tmp_path: Path, to: str, _read: Read) -> None:
    where, _ = _where(tmp_path, to)
    _transfer(where, ListedSession(TOPIC), stop_after=1)
    with pytest.raises(Refused, match="--resume"):
        _transfer(where, ListedSession(TOPIC))
    with pytest.raises(Refused, match="ask for the same"):
        _transfer(where, ListedSession(TOPIC, ReplayRequest(topic="listed", key=b"k")), resume=True)
    with pytest.raises(Refused, match="created again"):
        _transfer(where, ListedSession(TOPIC, topic_id=UUID(int=2)), resume=True)
    assert _transfer(where, ListedSession(TOPIC), resume=True).records == 99


def test_resumed_ends_are_those_of_the_first_run(tmp_path: Path) -> None:
    where = str(tmp_path / "out.arrow")
    _transfer(where, ListedSession(TOPIC), stop_after=1)
    more = {**TOPIC, 0: [record(at) for at in range(200)]}
    assert _transfer(where, ListedSession(more), resume=True).records == 99


def test_some_columns(tmp_path: Path) -> None:
    session = ListedSession(TOPIC, ReplayRequest(topic="listed", columns=("value", "offset")))
    _transfer(str(tmp_path / "out.jsonl"), session)
    assert _lines(tmp_path / "out.jsonl")[0] == {"value": '{"n": 0}', "offset": 0}
    _transfer(str(tmp_path / "out.arrow"), session)
    assert _arrow(tmp_path / "out.arrow").schema.names == ["value", "offset"]


@pytest.mark.parametrize(
    ("to", "file_format", "sentence"),
    [
        ("out.xlsx", None, "--format"),
        ("out.csv", "xml", "parquet, arrow, csv, jsonl"),
        ("-", "parquet", "folder"),
        ("kafka://host:1", None, "kafka://HOST:PORT/TOPIC"),
        ("kafka://host:1/topic", "csv", "leave it out"),
        ("kafka://host:1/topic?no.such.setting=1", None, "no.such.setting"),
        ("duckdb:", None, "duckdb:FILE"),
        ("s3://bucket/file.csv", None, "nothing to write to"),
    ],
)
def test_targets_that_make_no_sense(to: str, file_format: str | None, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        open_sink(to, topic="listed", file_format=file_format)
