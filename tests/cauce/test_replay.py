"""`cauce replay` and `cauce.replay` against a real node: record segments, what lies above them, and every target."""

import json
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import cauce
from cauce.testing import CauceProcess
from infra.clock import SYSTEM_CLOCK
from infra.errors import BadStart, CauceError, Refused
from tests.cauce.cluster import eventually
from tests.cauce.commands import environment, fails, run, works
from tests.replay.compacted import START, compact, produce

RECORDS = 3000
COMPACTED = (900, 1400)  # of partition 0; 1500 records are in each partition


@pytest.fixture(scope="module")
def node(cauce_node: CauceProcess) -> CauceProcess:
    """With a topic whose first partition is compacted in part; the second partition is not."""
    produce(cauce_node.bootstrap, "replayed", RECORDS)
    compact(cauce_node, "replayed", 0, COMPACTED)
    return cauce_node


@pytest.fixture
def at(node: CauceProcess) -> tuple[str, str]:
    return ("-b", node.bootstrap)


def consumed(bootstrap: str, topic: str, count: int) -> set[tuple[Any, ...]]:
    """The same by an ordinary consumer."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in (0, 1)])
    found: set[tuple[Any, ...]] = set()
    while len(found) < count:
        for one in consumer.consume(1000, timeout=10):
            assert one.error() is None, one.error()
            headers = tuple((name.encode(), value) for name, value in one.headers() or ())
            found.add((one.partition(), one.offset(), one.timestamp()[1], one.key(), one.value(), headers))
    consumer.close()
    return found


def rows_of(table: pa.Table) -> set[tuple[Any, ...]]:
    times = table["timestamp"].cast(pa.int64()).to_pylist()
    return {
        (
            row["partition"],
            row["offset"],
            time,
            row["key"],
            row["value"],
            tuple((one["key"], one["value"]) for one in row["headers"]),
        )
        for row, time in zip(table.to_pylist(), times, strict=True)
    }


def test_all_records_once_in_order_across_the_border(node: CauceProcess) -> None:
    table = cauce.replay("replayed", bootstrap=node.bootstrap).read_all()
    assert table["offset"].to_pylist() == [*range(RECORDS // 2), *range(RECORDS // 2)]
    assert rows_of(table) == consumed(node.bootstrap, "replayed", RECORDS)


def test_offsets_times_keys_columns_and_partitions(node: CauceProcess) -> None:
    def offsets(**options: Any) -> list[int]:
        reader = cauce.replay("replayed", bootstrap=node.bootstrap, partitions=[0], columns=["offset"], **options)
        return reader.read_all()["offset"].to_pylist()

    assert offsets(start=895, end=905) == list(range(895, 905))
    assert offsets(start=1390, end=1410) == list(range(1390, 1410))
    assert offsets(start=9999) == []
    moment = datetime.fromtimestamp(START / 1000 + 2600, UTC)
    assert offsets(start=moment) == list(range(1300, 1500))
    assert offsets(end=moment, start=1295) == list(range(1295, 1300))
    assert offsets(start=datetime(2030, 1, 1)) == []  # noqa: DTZ001 - no zone means UTC
    assert offsets(key="account-4") == list(range(2, 1500, 20))
    with pytest.raises(Refused, match="no partition 7"):
        cauce.replay("replayed", bootstrap=node.bootstrap, partitions=[0, 7])
    with pytest.raises(Refused, match="no column"):
        cauce.replay("replayed", bootstrap=node.bootstrap, columns=["nope"])
    with pytest.raises(Refused, match="no topic"):
        cauce.replay("nope", bootstrap=node.bootstrap)


def test_a_stream_that_is_given_up_lets_go_of_its_threads(node: CauceProcess) -> None:
    def own_threads() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("cauce-replay")}

    before = own_threads()
    reader = cauce.replay("replayed", bootstrap=node.bootstrap)
    unread = cauce.replay("replayed", bootstrap=node.bootstrap)
    assert reader.read_next_batch().num_rows > 0
    ours = own_threads() - before
    assert len(ours) == 2
    del reader, unread
    eventually("their threads end", lambda: not ours & own_threads())


def test_the_bucket_has_to_be_that_of_the_cluster(node: CauceProcess, tmp_path: Path) -> None:
    with pytest.raises(BadStart, match="--bucket"):
        cauce.replay("replayed", bootstrap=node.bootstrap, bucket=(tmp_path / "nothing").as_uri())
    assert not (tmp_path / "nothing").exists()
    whole = (node.data / "bucket").as_uri()
    assert cauce.replay("replayed", bootstrap=node.bootstrap, bucket=whole).read_all().num_rows == RECORDS


def test_scans_by_duckdb_and_polars(node: CauceProcess) -> None:
    topic = cauce.scan("replayed", bootstrap=node.bootstrap, text=True)
    lazy = pl.scan_pyarrow_dataset(topic)
    assert lazy.filter(pl.col("key") == "account-3").select(pl.len()).collect().item() == 75
    with duckdb.connect() as connection:
        connection.register("replayed", topic)
        found = connection.execute("select count(*), sum((value->>'n')::int) from replayed where value is not null")
        assert found.fetchone() == (2994, sum(n for n in range(RECORDS) if n % 500))


@pytest.mark.parametrize("to", ["-", "out.jsonl"])
def test_json_lines(at: tuple[str, str], tmp_path: Path, to: str) -> None:
    where = to if to == "-" else str(tmp_path / to)
    done = works("replay", "replayed", "--to", where, "--partition", "0", "--from", "250", "--until", "252", *at)
    lines = done.lines if to == "-" else (tmp_path / to).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "partition": 0,
            "offset": 250,
            "timestamp": "2026-01-31T00:08:20.000Z",
            "key": "account-20",
            "value": "/wA=",
            "headers": [{"key": "trace", "value": "500"}],
            "base64": "value",
        },
        {
            "partition": 0,
            "offset": 251,
            "timestamp": "2026-01-31T00:08:22.000Z",
            "key": "account-22",
            "value": '{"n": 502, "status": "settled"}',
            "headers": [],
            "base64": None,
        },
    ]


def test_files_and_tables(at: tuple[str, str], tmp_path: Path) -> None:
    done = works("replay", "replayed", "--to", str(tmp_path / "parquet"), "--json", *at)
    assert (done.json["records"], done.json["complete"]) == (RECORDS, True)
    assert pq.read_table(tmp_path / "parquet").num_rows == RECORDS
    works("replay", "replayed", "--to", str(tmp_path / "out.arrow"), "--key", "account-7", *at)
    assert pa.ipc.open_file(str(tmp_path / "out.arrow")).read_all().num_rows == RECORDS // 40
    works("replay", "replayed", "--to", f"duckdb:{tmp_path}/out.db?table=t", *at)
    with duckdb.connect(str(tmp_path / "out.db")) as connection:
        found = connection.execute("select count(*), count(value_bytes), max(value->>'n') from t").fetchone()
        assert found == (RECORDS, 6, "999")


def test_another_topic_gets_the_same_records(node: CauceProcess, at: tuple[str, str], tmp_path: Path) -> None:
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    admin.create_topics([NewTopic("replayed-copy", 2, config={"retention.ms": "-1"})])["replayed-copy"].result(30)
    to = f"kafka://{node.bootstrap}/replayed-copy"
    done = subprocess.run(
        [sys.executable, "-m", "cauce", "replay", "replayed", "--to", to, "--keep-partitions", *at],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(Path(cauce.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"3,000 records in {to}\n"), done
    assert consumed(node.bootstrap, "replayed-copy", RECORDS) == consumed(node.bootstrap, "replayed", RECORDS)
    assert list(tmp_path.iterdir()) == []  # the progress is no longer needed


def test_mistakes_are_sentences(at: tuple[str, str], tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("")
    assert "there already" in fails("replay", "replayed", "--to", str(there), *at)
    assert "no topic 'nope'" in fails("replay", "nope", "--to", str(tmp_path / "x.csv"), *at)
    assert "'soon' is not a time" in fails("replay", "replayed", "--to", "-", "--from", "soon", *at)
    assert "no column 'x'" in fails("replay", "replayed", "--to", "-", "--columns", "x", *at)
    assert "cannot be reached" in fails("replay", "replayed", "--to", "-", "-b", "127.0.0.1:1")
    assert "--bucket" in fails("replay", "replayed", "--to", "-", "--bucket", (tmp_path / "no").as_uri(), *at)
    assert "not stdout" in fails("replay", "replayed", "--to", "-", "--resume", *at)


@pytest.fixture(scope="module")
def long_topic(node: CauceProcess) -> str:
    produce(node.bootstrap, "replayed-long", 60_000)
    compact(node, "replayed-long", 0, range(100, 30_001, 100))
    return "replayed-long"


def test_ctrl_c_stops_cleanly_and_resume_goes_on(long_topic: str, at: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    words = ["replay", long_topic, "--to", str(out), *at]
    command = [sys.executable, "-m", "cauce", *words]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    progress = tmp_path / "out.csv.replay.json"
    deadline = threading.Event()
    while not progress.exists() and process.poll() is None:
        deadline.wait(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    if process.returncode == 0:  # it was faster than we
        pytest.skip("the replay ended before the signal came")
    assert process.returncode == 130
    assert "stopped after" in said
    assert "--resume goes on" in said
    assert not out.exists()
    done = run(*words, "--resume")
    assert (done.code, done.out) == (0, f"60,000 records in {out}\n"), done
    lines = out.read_text().splitlines()
    places = [tuple(map(int, line.split(",")[:2])) for line in lines[1:]]
    assert places == [(partition, offset) for partition in (0, 1) for offset in range(30_000)]
    assert not progress.exists()


def test_errors_are_caught_by_one_class() -> None:
    with pytest.raises(CauceError):
        cauce.replay("any", bootstrap="127.0.0.1:1")


def test_replays_beside_the_compactor_lose_and_repeat_nothing(tmp_path: Path) -> None:
    settings = {"cauce.compaction.interval.ms": 200, "cauce.compaction.age.ms": 0, "cauce.flush.interval.ms": 200}
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    with CauceProcess(tmp_path / "data", options=options) as node:
        produce(node.bootstrap, "compacting", RECORDS)
        records = node.data / "bucket" / "records"
        deadline = SYSTEM_CLOCK.monotonic() + 60
        found = False
        while not found:
            found = len(list(records.glob("*/*/*.parquet"))) >= 2  # of both partitions, before the replay begins
            table = cauce.replay("compacting", bootstrap=node.bootstrap).read_all()
            assert table["offset"].to_pylist() == [*range(RECORDS // 2), *range(RECORDS // 2)]
            assert SYSTEM_CLOCK.monotonic() < deadline, node.output
        assert rows_of(table) == consumed(node.bootstrap, "compacting", RECORDS)
