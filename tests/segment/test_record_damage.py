"""Footers of record segments from the store, and every damage: told as `Corrupt` with the object's name, never rows."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import BadStart, Corrupt, NotFound
from infra.segment import record_footer as footer_module
from infra.segment.record_columns import VALUE_FORMATS
from infra.segment.record_footer import parse_record_footer, read_record_footer
from infra.segment.record_rows import read_rows
from infra.store.memory import MemoryObjectStore
from tests.segment.rows import Segment, segment, some_records, table

KEY = "records/some-key.parquet"


class CountingStore(MemoryObjectStore):
    def __init__(self) -> None:
        super().__init__()
        self.gets = 0

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        self.gets += 1
        return await super().get_range(key, position, length)


@pytest.mark.parametrize(("unreadable", "gets"), [(b"small", 1), (b"large" * 60_000, 2)])
def test_a_footer_is_read_with_two_gets_at_the_most(tmp_path: Path, unreadable: bytes, gets: int) -> None:
    found = segment(tmp_path / "s", [table(some_records(5))], unreadable=[unreadable])

    async def main() -> None:
        store = CountingStore()
        await store.create(KEY, found.body)
        footer = await read_record_footer(store, KEY)
        assert store.gets == gets
        assert (footer.counts, footer.unreadable) == (found.footer.counts, (unreadable,))
        with pytest.raises(NotFound):
            await read_record_footer(store, "records/other")

    asyncio.run(main())


def test_a_newer_format_names_the_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = segment(tmp_path / "s", [table(some_records(5))])
    monkeypatch.setattr(footer_module, "FORMAT", 0)
    with pytest.raises(BadStart, match=KEY):
        parse_record_footer(KEY, found.body)


def test_other_files_are_corrupt_segments(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    other = (tmp_path / "other.parquet").read_bytes()
    found = segment(tmp_path / "s", [table(some_records(5))])
    for body in (
        b"",
        b"PAR1",
        b"x" * 100,
        other,
        other[:-1],
        found.body[:-1],
        found.body[-50:],
        b"\xff\xff\xff\x7fPAR1",
    ):
        with pytest.raises(Corrupt, match=KEY):
            parse_record_footer(KEY, body)


def test_rows_of_another_place_are_corrupt(tmp_path: Path) -> None:
    found = segment(tmp_path / "s", [table(some_records(100))], row_group_bytes=500)
    first, second = found.manifest.row_groups[:2]
    for number, group, data in (
        (0, second, found.data(second)),
        (1, first, found.data(first)),
        (-1, first, found.data(first)),
        (len(found.manifest.row_groups), first, found.data(first)),
        (0, first, found.data(first)[:-1]),
        (0, first, b""),
        (0, replace(first, position=first.position + 1), found.data(first)),
        (0, replace(first, size=first.size - 1), found.data(first)[:-1]),
        (0, replace(first, position=second.position, size=second.size), found.data(second)),
    ):
        with pytest.raises(Corrupt, match=KEY):
            read_rows(found.footer, number, group, data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_turned_bit_of_a_row_group_is_told(data: st.DataObject) -> None:
    found = _KEPT[data.draw(st.sampled_from(VALUE_FORMATS))]
    number = data.draw(st.integers(0, len(found.manifest.row_groups) - 1))
    group = found.manifest.row_groups[number]
    body = bytearray(found.data(group))
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corrupt, match=KEY):
        read_rows(found.footer, number, group, bytes(body))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_damage_of_a_footer_is_told(data: st.DataObject) -> None:
    found = _KEPT[data.draw(st.sampled_from(VALUE_FORMATS))]
    size = 8 + int.from_bytes(found.body[-8:-4], "little")
    tail = bytearray(found.body[-size:])
    for _ in range(data.draw(st.integers(1, 3))):
        tail[data.draw(st.integers(0, size - 1))] ^= data.draw(st.integers(1, 255))
    if bytes(tail) != found.body[-size:]:
        with pytest.raises(Corrupt, match=KEY):
            parse_record_footer(KEY, tail)


def _kept() -> dict[str, Segment]:
    rows = table(some_records(60))
    with tempfile.TemporaryDirectory() as folder:
        return {
            value_format: segment(Path(folder, "s"), [rows], row_group_bytes=500, value_format=value_format)
            for value_format in VALUE_FORMATS
        }


_KEPT = _kept()
