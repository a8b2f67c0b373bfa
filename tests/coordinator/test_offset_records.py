"""Records of `__consumer_offsets`: as Kafka writes them, there and back, and which partition they go to."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import CauceError
from infra.view.port import OffsetRow
from ingest.coordinator.group_effects import GroupSnapshot, MemberSnapshot
from ingest.coordinator.offset_records import (
    GroupChange,
    OffsetChange,
    decode_change,
    decode_group,
    encode_change,
    encode_group,
)
from ingest.coordinator.placement import java_string_hash, partition_of_key
from ingest.coordinator.subscription import all_subscribed_topics, subscribed_topics
from tests.coordinator.groups import subscription

texts = st.text(max_size=20)
rows = st.builds(
    OffsetRow,
    st.integers(0, 2**63 - 1),
    st.integers(-1, 2**31 - 1),
    texts,
    st.integers(0, 2**62),
    st.just(-1),
)
members = st.builds(
    MemberSnapshot,
    texts,
    st.none() | texts,
    texts,
    texts,
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**31 - 1),
    st.binary(max_size=40),
    st.binary(max_size=40),
)
snapshots = st.builds(
    GroupSnapshot,
    texts,
    st.integers(0, 2**31 - 1),
    st.none() | texts,
    st.none() | texts,
    st.integers(-1, 2**62),
    st.lists(members, max_size=3).map(tuple),
)


def test_an_offset_is_stored_as_kafka_stores_it() -> None:
    key, value = encode_change(OffsetChange("g", "orders", 3, OffsetRow(42, 5, "m", 1_700_000_000_000)))
    assert key == b"\0\1" + b"\0\1g" + b"\0\6orders" + b"\0\0\0\3"
    assert value == b"\0\3" + struct.pack(">qi", 42, 5) + b"\0\1m" + struct.pack(">q", 1_700_000_000_000)


def test_an_offset_with_an_expiry_of_its_own_is_version_1() -> None:
    change = OffsetChange("g", "t", 0, OffsetRow(42, -1, "", 1_000, 2_000))
    key, value = encode_change(change)
    assert value == b"\0\1" + struct.pack(">q", 42) + b"\0\0" + struct.pack(">qq", 1_000, 2_000)
    assert decode_change(key, value) == change


def test_a_group_is_stored_as_kafka_stores_it() -> None:
    member = MemberSnapshot("m-1", "i", "c", "/h", 60_000, 10_000, b"sub", b"ass")
    key, value = encode_change(
        GroupChange("g", encode_group(GroupSnapshot("consumer", 4, "range", "m-1", 77, (member,))))
    )
    assert key == b"\0\2" + b"\0\1g"
    assert value == (
        b"\0\3\0\x08consumer\0\0\0\4\0\5range\0\3m-1" + struct.pack(">q", 77) + b"\0\0\0\1"
        b"\0\3m-1\0\1i\0\1c\0\2/h" + struct.pack(">ii", 60_000, 10_000) + b"\0\0\0\3sub\0\0\0\3ass"
    )


@given(texts, texts, st.integers(0, 2**31 - 1), st.none() | rows)
def test_offsets_come_back(group: str, topic: str, partition: int, row: OffsetRow | None) -> None:
    change = OffsetChange(group, topic, partition, row)
    assert decode_change(*encode_change(change)) == change


@given(snapshots)
def test_groups_come_back(snapshot: GroupSnapshot) -> None:
    assert decode_group(encode_group(snapshot)) == snapshot


def test_old_and_unknown_records() -> None:
    version_0 = b"\0\0" + struct.pack(">q", 9) + b"\0\1m" + struct.pack(">q", 5)
    assert decode_change(b"\0\0\0\1g\0\1t\0\0\0\1", version_0) == OffsetChange("g", "t", 1, OffsetRow(9, -1, "m", 5))
    assert decode_change(b"\0\2\0\1g", None) == GroupChange("g", None)
    assert decode_change(b"\0\3\0\1g", b"\0\0anything") is None, "newer brokers keep other things there too"
    assert decode_change(None, b"") is None
    assert decode_group(b"\0\0\0\1c\0\0\0\1\xff\xff\xff\xff\0\0\0\0").members == ()


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_bytes_that_are_no_record_raise_our_errors_only(key: bytes, value: bytes) -> None:
    for prefix in (b"\0\1", b"\0\2"):
        try:
            decode_change(prefix + key, b"\0\3" + value)
            decode_group(b"\0\3" + value)
        except CauceError:
            pass


@pytest.mark.parametrize("text", ["", "a", "polygenelubricants", "gruppe-ñ-日本", "\U0001f682 train"])
def test_the_hash_is_javas(text: str) -> None:
    units = struct.unpack(f">{len(text.encode('utf-16-be')) // 2}H", text.encode("utf-16-be"))
    exact = sum(unit * 31 ** (len(units) - 1 - index) for index, unit in enumerate(units))
    assert java_string_hash(text) == (exact + 2**31) % 2**32 - 2**31


def test_groups_go_where_kafka_puts_them() -> None:
    assert java_string_hash("polygenelubricants") == -(2**31)
    assert partition_of_key("polygenelubricants", 50) == 0
    assert java_string_hash("hello") == 99162322
    assert partition_of_key("hello", 50) == 22


@given(st.lists(st.text(max_size=5), max_size=4), st.binary(max_size=5))
def test_subscriptions_are_read(topics: list[str], cut: bytes) -> None:
    whole = subscription(*topics)
    assert subscribed_topics(whole) == frozenset(topics)
    assert subscribed_topics(cut) in (None, frozenset())


def test_one_unreadable_subscription_hides_them_all() -> None:
    assert all_subscribed_topics([subscription("a"), subscription("b")]) == {"a", "b"}
    assert all_subscribed_topics([subscription("a"), b"\0"]) is None
    assert all_subscribed_topics([]) == frozenset()
