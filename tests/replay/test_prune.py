"""Pruning leaves no group out that holds a record which passes, and most that hold none."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.records.record import Record
from reader.replay.plan import Span
from reader.replay.prune import GroupFacts, Pruner
from reader.replay.request import BYTES, TEXT, TIMESTAMP
from reader.replay.selection import Selection
from tests.replay.world import table_of

KEYS = st.one_of(st.none(), st.sampled_from([b"", b"a", b"b", b"b\x00", b"c", b"\xff", b"\xc3\xa9"]))
GROUPS = st.lists(st.lists(st.tuples(KEYS, st.integers(-1, 5)), min_size=1, max_size=4), min_size=1, max_size=4)


def _text(key: bytes, schema: pa.Schema) -> Any:
    kind = schema.field("key").type
    return pa.scalar(key.decode() if kind == pa.string() else key, kind)


FILTERS: list[Callable[[pa.Schema, bytes, int], Any]] = [
    lambda schema, key, number: pc.field("key") == _text(key, schema),
    lambda schema, key, number: pc.field("key") > _text(key, schema),
    lambda schema, key, number: pc.field("key").is_null(),
    lambda schema, key, number: pc.field("key").is_valid() & (pc.field("partition") == 3),
    lambda schema, key, number: pc.field("key").isin([_text(key, schema).as_py(), _text(b"c", schema).as_py()]),
    lambda schema, key, number: ~(pc.field("key") == _text(key, schema)),
    lambda schema, key, number: pc.field("offset") >= number,
    lambda schema, key, number: pc.field("timestamp") < pa.scalar(number, TIMESTAMP),
    lambda schema, key, number: (pc.field("offset") == number) | (pc.field("key") == _text(key, schema)),
    lambda schema, key, number: pc.field("partition") != 3,
]


@pytest.mark.parametrize("make", FILTERS)
@settings(max_examples=40, deadline=None)
@given(groups=GROUPS, key=st.sampled_from([b"", b"a", b"b", b"c", b"z"]), number=st.integers(-1, 9))
def test_nothing_that_passes_is_pruned(
    make: Callable[[pa.Schema, bytes, int], Any], groups: Sequence[Any], key: bytes, number: int
) -> None:
    for schema in (BYTES, TEXT):
        expression = make(schema, key, number)
        tables, facts, offset = [], [], 0
        for rows in groups:
            records = [Record(offset + at, time, name, b"", ()) for at, (name, time) in enumerate(rows)]
            names = [one.key for one in records if one.key is not None]
            times = [one.timestamp for one in records]
            last = offset + len(rows) - 1
            keys = (min(names), max(names)) if names else None
            facts.append(GroupFacts(offset, last, (min(times), max(times)), keys))
            tables.append(table_of(records))
            offset = last + 1
        kept = Pruner(schema, expression).kept(3, facts)
        passing = [
            number
            for number, table in enumerate(tables)
            if Selection(schema, None, expression).apply(table, 3, Span(0, offset)).num_rows
        ]
        assert set(passing) <= set(kept)


@pytest.mark.parametrize("schema", [BYTES, TEXT])
def test_groups_that_cannot_hold_it_are_pruned(schema: pa.Schema) -> None:
    facts = [
        GroupFacts(at * 10, at * 10 + 9, (at * 100, at * 100 + 99), (b"k%d0" % at, b"k%d9" % at)) for at in range(5)
    ]
    for expression, expected in (
        (pc.field("key") == _text(b"k35", schema), [3]),
        (pc.field("key").isin([_text(b"k35", schema).as_py(), _text(b"k41", schema).as_py()]), [3, 4]),
        (pc.field("offset") < 20, [0, 1]),
        (pc.field("timestamp") >= pa.scalar(350, TIMESTAMP), [3, 4]),
        (pc.field("partition") == 2, []),
        (None, [0, 1, 2, 3, 4]),
    ):
        assert Pruner(schema, expression).kept(1, facts) == expected
