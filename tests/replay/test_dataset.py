"""A topic as a dataset: scans push columns and filters down, and nothing of Arrow's own reaches past them."""

from typing import Any

import polars as pl
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from infra.errors import Refused
from reader.replay.dataset import TopicDataset
from reader.replay.request import TEXT, ReplayRequest
from tests.replay.listed import ListedSession
from tests.replay.world import record

TOPIC = {0: [record(at) for at in range(25)], 1: [record(at, value=None) for at in range(5)]}
SCANNED = {
    "__new__",
    "__init__",
    "__doc__",
    "__pyx_vtable__",
    "scanner",
    "schema",
    "to_batches",
    "to_table",
    "head",
    "take",
    "count_rows",
    "partition_expression",
}


def test_scans_see_the_columns_and_the_filter() -> None:
    session = ListedSession(TOPIC)
    dataset = TopicDataset(session)
    assert dataset.schema.names == ["partition", "offset", "timestamp", "key", "value", "headers"]
    found = dataset.to_table(columns=["offset", "partition"], filter=pc.field("value").is_null())
    assert found.to_pydict() == {"offset": [0, 1, 2, 3, 4], "partition": [1] * 5}
    assert session.scans[-1].stored == ("offset", "value")
    assert dataset.count_rows() == 30
    assert session.scans[-1].stored == ()
    assert dataset.count_rows(pc.field("partition") == 1) == 5
    assert dataset.head(12, columns=["offset"])["offset"].to_pylist() == list(range(12))
    assert dataset.take([0, 26], columns=["partition"])["partition"].to_pylist() == [0, 1]
    assert sum(batch.num_rows for batch in dataset.to_batches()) == 30
    assert dataset.scanner(["key"]).projected_schema.names == ["key"]
    with pytest.raises(KeyError, match="nope"):
        dataset.scanner(["nope"])


def test_the_request_holds_for_every_scan() -> None:
    dataset = TopicDataset(ListedSession(TOPIC, ReplayRequest(topic="listed", key=b"k000003")), TEXT)
    assert dataset.to_table(["partition"])["partition"].to_pylist() == [0, 1]
    assert dataset.count_rows(pc.field("value").is_null()) == 1


@pytest.mark.parametrize("name", sorted(set(vars(ds.Dataset)) - SCANNED))
def test_what_arrow_would_do_in_c_is_refused(name: str) -> None:
    dataset: Any = TopicDataset(ListedSession(TOPIC))
    with pytest.raises(Refused, match="scanned"):
        getattr(dataset, name)()


def test_polars_pushes_down() -> None:
    session = ListedSession(TOPIC)
    lazy = pl.scan_pyarrow_dataset(TopicDataset(session, TEXT))
    found = lazy.filter(pl.col("offset") > 22).select("offset", "key").collect()
    assert found.rows() == [(23, "k000023"), (24, "k000024")]
    assert session.scans[-1].stored == ("offset", "key")
    assert session.scans[-1].filter is not None
