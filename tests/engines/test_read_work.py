"""Pieces of work: planned once, each read alone, also in a process that got it as JSON."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pytest

from infra.errors import BadStart, Refused
from reader.engines.read_work import read_work
from reader.engines.topic_source import TopicSource
from reader.engines.wanted import Condition, Wanted
from reader.engines.work import Work
from reader.replay.request import BYTES
from tests.engines.filled import EVERYTHING, FIRST_MS, FilledTopic, filled_topic
from tests.servers import S3Server

_ALONE = """
import sys, pyarrow.ipc
from reader.engines.read_work import read_work
from reader.engines.wanted import Wanted
from reader.engines.work import Work
work, wanted = Work.from_json(sys.argv[1]), Wanted()
with pyarrow.ipc.new_stream(sys.stdout.buffer, wanted.selection().out) as out:
    for batch in read_work(work, wanted):
        out.write(batch)
"""


def _all(works: list[Work], wanted: Wanted = EVERYTHING) -> pa.Table:
    batches = [batch for work in works for batch in read_work(work, wanted)]
    return pa.Table.from_batches(batches, wanted.selection().out)


@pytest.mark.parametrize("work_bytes", [1, 20_000, 64 << 20])
def test_pieces_hold_every_record_once_in_order(filled: FilledTopic, work_bytes: int) -> None:
    works = filled.works(work_bytes=work_bytes)
    assert _all(works).equals(filled.table())
    assert {work.partition for work in works if not work.from_bucket} == {0, 1}
    assert {work.partition for work in works if work.from_bucket} == {0, 1, 2}


def test_a_piece_goes_through_json_and_pickle_and_is_read_in_another_process(filled: FilledTopic) -> None:
    works = filled.works()
    assert works == [Work.from_json(work.to_json()) for work in works] == pickle.loads(pickle.dumps(works))
    for work in (works[0], works[1]):
        done = subprocess.run([sys.executable, "-c", _ALONE, work.to_json()], capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert work.from_bucket == (work == works[0])
        alone = pyarrow.ipc.open_stream(done.stdout).read_all()
        assert alone.equals(
            filled.table(lambda row, w=work: row["partition"] == w.partition and w.start <= row["offset"] < w.end)
        )


def test_what_lies_in_the_bucket_is_read_without_a_leader(filled: FilledTopic) -> None:
    cold = [work for work in filled.works() if work.from_bucket]
    nowhere = [replace(work, place=replace(work.place, bootstrap="127.0.0.1:1")) for work in cold]
    assert _all(nowhere).num_rows == 1500


def test_conditions_leave_pieces_out_and_records_too(filled: FilledTopic) -> None:
    conditions = (
        Condition("partition", "in", (0, 2)),
        Condition("offset", ">=", 350),
        Condition("timestamp", "<", FIRST_MS + 1700),
        Condition("key", "in", (b"key-3", b"key-8")),
    )
    wanted = Wanted(("offset", "key"), conditions)
    works = filled.works(wanted)
    assert {work.partition for work in works} == {0, 2}
    assert min(work.start for work in works) == 350
    expected = filled.table(
        lambda row: (
            row["partition"] in (0, 2)
            and row["offset"] >= 350
            and row["timestamp"] < FIRST_MS + 1700
            and row["key"] in (b"key-3", b"key-8")
        )
    )
    assert expected.num_rows > 10
    assert _all(works, wanted).equals(expected.select(["offset", "key"]))


def test_times_are_places(filled: FilledTopic) -> None:
    with TopicSource(filled.topic, filled.bootstrap) as source:
        since = source.since(FIRST_MS + 1000)
        after_all = source.since(FIRST_MS + 10_000_000)
    rows = filled.rows.values()
    for partition, end in filled.ends().items():
        times = [row["offset"] for row in rows if row["partition"] == partition and row["timestamp"] >= FIRST_MS + 1000]
        assert since[partition] == min(times, default=end)
    assert after_all == filled.ends()


def test_wrong_places_are_told(filled: FilledTopic, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no topic 'nowhere'"):
        TopicSource("nowhere", filled.bootstrap)
    with pytest.raises(BadStart, match="name the way to it"):
        TopicSource(filled.topic, filled.bootstrap, tmp_path.as_uri())


@pytest.mark.timeout(180)
def test_a_bucket_on_s3(tmp_path: Path, moto_server: S3Server) -> None:
    with filled_topic(tmp_path, ["--set", f"cauce.bucket={moto_server.url('engines')}"]) as topic:
        works = topic.works()
        assert {work.from_bucket for work in works} == {True, False}
        assert _all(works).equals(topic.table())


def test_an_empty_table_has_the_schema(filled: FilledTopic) -> None:
    assert _all([]).schema == BYTES
