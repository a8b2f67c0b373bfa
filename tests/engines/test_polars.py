"""`cauce.polars.scan`: equal to what was produced, whatever is pushed down."""

import datetime
from typing import Any

import polars as pl
import pytest

import cauce.polars
from reader.engines import polars_scan
from reader.engines.polars_predicate import conditions_of
from reader.engines.wanted import Condition, Wanted
from tests.engines.filled import FIRST_MS, FilledTopic


def _time(milliseconds: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=milliseconds)


def _scan(filled: FilledTopic, **options: Any) -> pl.LazyFrame:
    return cauce.polars.scan(filled.topic, bootstrap=filled.bootstrap, **options)


def _frame(filled: FilledTopic) -> pl.DataFrame:
    return pl.DataFrame(filled.table(), schema=polars_scan.SCHEMA)


def test_everything(filled: FilledTopic) -> None:
    found = _scan(filled).collect()
    assert found.schema == polars_scan.SCHEMA
    assert found.equals(_frame(filled))


@pytest.mark.parametrize(
    "predicate",
    [
        pl.col("offset") >= 600,
        (pl.col("partition") == 1) & (pl.col("offset") < 20),
        pl.lit(_time(FIRST_MS + 1234)) <= pl.col("timestamp"),
        pl.col("timestamp").is_between(_time(FIRST_MS + 100), _time(FIRST_MS + 130), closed="none"),
        pl.col("key") == b"key-3",
        pl.col("key").is_null() & (pl.col("value").bin.size() > 100),
        (pl.col("offset") == 4) | (pl.col("offset") == 700),
        pl.col("partition").is_in([0, 2]) & pl.col("value").is_null(),
        pl.col("offset") % 100 == 7,
    ],
    ids=str,
)
def test_predicates(filled: FilledTopic, predicate: pl.Expr) -> None:
    expected = _frame(filled).filter(predicate)
    assert expected.height > 0
    assert _scan(filled).filter(predicate).collect().equals(expected)
    few = _scan(filled).filter(predicate).select("value", "offset").collect()
    assert few.equals(expected.select("value", "offset"))


def test_heads_and_counts(filled: FilledTopic) -> None:
    whole = _frame(filled)
    assert _scan(filled).head(7).collect().equals(whole.head(7))
    assert (
        _scan(filled)
        .filter(pl.col("offset") > 500)
        .head(30)
        .collect()
        .equals(whole.filter(pl.col("offset") > 500).head(30))
    )
    assert (
        _scan(filled)
        .head(30)
        .filter(pl.col("offset") > 20)
        .collect()
        .equals(whole.head(30).filter(pl.col("offset") > 20))
    )
    assert _scan(filled).select(pl.len()).collect().item() == whole.height
    assert _scan(filled).group_by("partition").len().sort("partition").collect()["len"].sum() == whole.height


def test_starts_and_ends(filled: FilledTopic) -> None:
    whole = _frame(filled)
    assert (
        _scan(filled, partitions=[1], start=10, end=20)
        .collect()
        .equals(whole.filter((pl.col("partition") == 1) & pl.col("offset").is_between(10, 19)))
    )
    between = _scan(filled, start=_time(FIRST_MS + 800), end=_time(FIRST_MS + 1700)).collect()
    assert between.height == 900
    assert between.equals(whole.filter(pl.col("timestamp").is_between(_time(FIRST_MS + 800), _time(FIRST_MS + 1699))))


def test_what_is_pushed_down(filled: FilledTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Wanted] = []

    class Noting(polars_scan.PlaceReader):
        def batches(self, spans: Any, wanted: Wanted) -> Any:
            read.append(wanted)
            return super().batches(spans, wanted)

    monkeypatch.setattr(polars_scan, "PlaceReader", Noting)
    _scan(filled).filter((pl.col("offset") > 5) & (pl.col("timestamp") < _time(FIRST_MS))).select("key").collect()
    assert read[0].columns is not None
    assert set(read[0].columns) == {"offset", "timestamp", "key"}
    assert set(read[0].conditions) == {Condition("offset", ">", 5), Condition("timestamp", "<", FIRST_MS)}


@pytest.mark.parametrize(
    ("predicate", "conditions"),
    [
        ((pl.col("offset") >= 5) & (pl.col("partition") == 1), {("offset", ">=", 5), ("partition", "==", 1)}),
        (pl.lit(5) > pl.col("offset"), {("offset", "<", 5)}),
        ((pl.col("offset") >= 5) | (pl.col("partition") == 1), set()),
        (~(pl.col("offset") >= 5), set()),
        (pl.col("offset") + 1 >= 5, set()),
        (pl.col("offset") >= 5.5, set()),
        (pl.col("offset") != 5, set()),
        (pl.col("offset") < pl.col("partition"), set()),
        (pl.col("key") == b"x", set()),
        (pl.col("partition") < 2**40, set()),
    ],
    ids=lambda one: str(sorted(one) if isinstance(one, set) else one),
)
def test_conditions_of_predicates(predicate: pl.Expr, conditions: set[Any]) -> None:
    assert set(conditions_of(predicate)) == conditions
