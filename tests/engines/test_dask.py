"""`cauce.dask.read`: one partition a piece of work, equal to what was produced."""

import datetime
from typing import Any

import pyarrow as pa
import pytest

from infra.errors import Refused
from reader.replay.request import BYTES
from tests.engines.filled import FIRST_MS, FilledTopic

pytestmark = pytest.mark.usefixtures("needs_dask")


def _read(filled: FilledTopic, **options: Any) -> Any:
    import cauce.dask

    return cauce.dask.read(filled.topic, bootstrap=filled.bootstrap, **options)


def _table(frame: Any, columns: list[str] = BYTES.names) -> pa.Table:
    schema = pa.schema([BYTES.field(name) for name in columns])
    return pa.Table.from_pandas(frame.compute(), schema, preserve_index=False).replace_schema_metadata(None)


@pytest.mark.parametrize("work_bytes", [1, 64 << 20])
def test_everything(filled: FilledTopic, work_bytes: int) -> None:
    frame = _read(filled, work_bytes=work_bytes)
    assert frame.npartitions == len(filled.works(work_bytes=work_bytes))
    assert _table(frame).equals(filled.table())


def test_pieces_are_read_in_processes_of_their_own(filled: FilledTopic) -> None:
    import dask

    with dask.config.set(scheduler="processes", num_workers=2):
        assert _table(_read(filled)).equals(filled.table())


def test_columns_and_filters(filled: FilledTopic) -> None:
    time = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=FIRST_MS + 900)
    filters = [("partition", "in", [1, 2]), ("timestamp", ">=", time), ("key", "==", b"key-3")]
    frame = _read(filled, columns=["offset", "key"], filters=filters)
    expected = filled.table(
        lambda row: row["partition"] > 0 and row["timestamp"] >= FIRST_MS + 900 and row["key"] == b"key-3"
    )
    assert expected.num_rows > 5
    assert _table(frame, ["offset", "key"]).equals(expected.select(["offset", "key"]))
    assert _table(_read(filled)[["value"]], ["value"]).equals(filled.table().select(["value"]))


def test_starts_ends_and_nothing(filled: FilledTopic) -> None:
    expected = filled.table(lambda row: row["partition"] == 0 and 100 <= row["offset"] < 650)
    assert _table(_read(filled, partitions=[0], start=100, end=650)).equals(expected)
    assert _table(_read(filled, partitions=[3])).equals(BYTES.empty_table())


def test_what_cannot_be_pushed_down_is_refused(filled: FilledTopic) -> None:
    with pytest.raises(Refused, match="filter the dataframe instead"):
        _read(filled, filters=[("value", "==", b"x")])
    with pytest.raises(Refused, match="no column 'colour'"):
        _read(filled, columns=["colour"])
