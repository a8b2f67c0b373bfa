"""What a segment tells of those before it: it comes back, its damage is told, and segments without it read as ever."""

import asyncio
from contextlib import suppress
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import Corrupt
from infra.partition import PartitionId, SessionId
from infra.segment import holders as holders_module
from infra.segment.batch_segment import BuiltSegment, build_batch_segment
from infra.segment.footer import parse_footer, read_footer
from infra.segment.holders import HOLDERS_EVERY, Holder, Holders, carrier_at_or_below, carries_holders
from infra.store.memory import MemoryObjectStore
from tests.segment.parts import part

KEY = "batches/0000000001/0000000002/0000000016.parquet"
ONE = Holders(3, {PartitionId(UUID(int=1), 0): Holder(7, 2, 99), PartitionId(UUID(int=2), 4): Holder(15, 0, 0)})

partitions = st.builds(PartitionId, st.uuids(), st.integers(0, 2**31 - 1))
numbers = st.integers(0, 10**10 - 1)
several = st.builds(
    Holders,
    numbers,
    st.dictionaries(partitions, st.builds(Holder, numbers, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))),
)


def build(holders: Holders | None) -> BuiltSegment:
    return build_batch_segment(KEY, "cluster-1", SessionId(1, 2), [part([10, 20])], holders=holders)


@settings(max_examples=60, deadline=None)
@given(several)
def test_holders_come_back(holders: Holders) -> None:
    assert Holders.decode(holders.encode()) == holders


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_told_or_harmless(data: st.DataObject) -> None:
    entry = list(ONE.encode())
    entry[data.draw(st.integers(0, len(entry) - 1))] = chr(data.draw(st.integers(0, 255)))
    with suppress(Corrupt):
        assert Holders.decode("".join(entry)) == ONE


@pytest.mark.parametrize("entry", ["", ":", "00000000:", "nonsense"])
def test_what_is_no_entry_is_corrupt(entry: str) -> None:
    with pytest.raises(Corrupt):
        Holders.decode(entry)


def test_a_segment_carries_them_beside_what_it_always_has() -> None:
    async def main() -> None:
        store = MemoryObjectStore()
        built = build(ONE)
        await store.create(KEY, built.body)
        footer = await read_footer(store, KEY)
        assert (footer.version, footer.flushed, len(footer.index)) == (1, built.flushed, 2)
        assert footer.holders == built.footer.holders
        assert footer.holders is not None
        assert Holders.decode(footer.holders) == ONE

    asyncio.run(main())


def test_a_segment_without_them_is_written_as_before() -> None:
    without, with_them = build(None), build(ONE)
    assert without.footer.holders is None
    assert parse_footer(KEY, without.body).holders is None
    named = [pq.read_metadata(pa.BufferReader(one.body)).metadata for one in (without, with_them)]
    assert set(named[0]) == {b"cauce.segment", b"cauce.extents", b"cauce.index", b"cauce.crc32c"}
    assert {key: value for key, value in named[1].items() if key != b"cauce.holders"} == named[0]


def test_many_fit_where_the_footer_is_read_first() -> None:
    many = {PartitionId(UUID(int=9), number): Holder(14_000 - number, 3, 10**6 * number) for number in range(1_000)}
    built = build(Holders(0, many))
    assert len(built.footer.holders or "") < 20_000


def test_every_so_many_segments_carry_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one for one in range(4 * HOLDERS_EVERY) if carries_holders(one)] == [0, 16, 32, 48]
    assert [carrier_at_or_below(one) for one in (0, 15, 16, 33)] == [0, 0, 16, 32]
    assert carrier_at_or_below(33, further=2) == 0
    monkeypatch.setattr(holders_module, "HOLDERS_EVERY", 4)
    assert [one for one in range(9) if carries_holders(one)] == [0, 4, 8]
