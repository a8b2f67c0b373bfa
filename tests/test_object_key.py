"""Every key round-trips, sorts by its numbers, and refuses what is none of ours."""

import contextlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import object_key
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import Corrupt
from infra.partition import PartitionId, SessionId

NUMBERS = st.integers(0, 10**10 - 1)
OFFSETS = st.integers(0, 2**63 - 1)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SESSIONS = st.builds(SessionId, NUMBERS, NUMBERS)
PARTITIONS = st.builds(PartitionId, st.uuids(), NUMBERS)
ULIDS = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26)

KEYS = st.one_of(
    st.just(object_key.ClusterKey()),
    st.builds(object_key.TopicKey, st.uuids(), NUMBERS),
    st.builds(object_key.TopicNameKey, NAMES, NUMBERS),
    st.builds(object_key.SettingKey, NAMES, NAMES, NUMBERS),
    st.builds(object_key.ProducerIdsKey, NUMBERS),
    st.builds(object_key.SessionKey, SESSIONS),
    st.builds(object_key.EpochKey, PARTITIONS, NUMBERS),
    st.builds(object_key.ManifestKey, PARTITIONS, NUMBERS),
    st.builds(object_key.FenceKey, SESSIONS),
    st.builds(object_key.ReleaseKey, PARTITIONS, NUMBERS),
    st.builds(object_key.BatchSegmentKey, SESSIONS, NUMBERS),
    st.builds(object_key.RecordSegmentKey, PARTITIONS, OFFSETS, OFFSETS, ULIDS),
    st.builds(object_key.TableKey, st.uuids(), st.sampled_from(["metadata/v1.json", "x", "a/b/c.avro"])),
    st.builds(object_key.ProbeKey, st.text("0123456789abcdef", min_size=1, max_size=16)),
)


@given(KEYS)
def test_round_trip(key: object_key.ObjectKey) -> None:
    parsed = object_key.parse_key(key.key)
    assert parsed == key


@given(KEYS, KEYS)
def test_different_things_have_different_keys(one: object_key.ObjectKey, other: object_key.ObjectKey) -> None:
    assert (one.key == other.key) == (one == other)


@given(NUMBERS, NUMBERS, OFFSETS, OFFSETS)
def test_keys_sort_by_their_numbers(a: int, b: int, c: int, d: int) -> None:
    assert (object_key.number(a) < object_key.number(b)) == (a < b)
    assert (object_key.offset(c) < object_key.offset(d)) == (c < d)


@given(NAMES)
def test_escaped_names_are_safe(name: str) -> None:
    escaped = object_key.escape_name(name)
    assert object_key.unescape_name(escaped) == name
    assert escaped.isascii()
    assert escaped not in ("", ".", "..")
    assert not set(escaped) & set("/\\% \0")


def test_topic_names_stay_as_they_are() -> None:
    assert object_key.escape_name("orders.v2_eu-WEST") == "orders.v2_eu-WEST"
    assert object_key.escape_name("__consumer_offsets") == "__consumer_offsets"
    assert object_key.escape_name(".hidden.") == "~2Ehidden."


def test_a_name_too_long_for_a_file_is_refused() -> None:
    assert object_key.escape_name("x" * 249)
    with pytest.raises(ValueError, match="too long"):
        object_key.escape_name("é" * 100)


def test_the_drawing() -> None:
    topic = UUID("01234567-89ab-cdef-0123-456789abcdef")
    partition, session = PartitionId(topic, 3), SessionId(7, 2)
    expected: dict[object_key.ObjectKey, str] = {
        object_key.TopicKey(topic, 0): f"topics/{topic}/0000000000",
        object_key.SettingKey("broker", "", 1): "settings/broker/~/0000000001",
        object_key.SessionKey(session): "sessions/0000000007/0000000002",
        object_key.EpochKey(partition, 4): f"epochs/{topic}/0000000003/0000000004",
        object_key.BatchSegmentKey(session, 9): "batches/0000000007/0000000002/0000000009.parquet",
        object_key.RecordSegmentKey(partition, 5, 17, "0" * 26): (
            f"records/{topic}/0000000003/00000000000000000005-00000000000000000017-{'0' * 26}.parquet"
        ),
    }
    assert {key: key.key for key in expected} == expected


def test_ledgers_and_prefixes_fit_the_keys() -> None:
    topic = SYSTEM_CLOCK.uuid()
    partition, session = PartitionId(topic, 3), SessionId(7, 2)
    for ledger, key in (
        (object_key.topic_ledger(topic), object_key.TopicKey(topic, 5).key),
        (object_key.topic_name_ledger("a b"), object_key.TopicNameKey("a b", 5).key),
        (object_key.setting_ledger("user", "ann"), object_key.SettingKey("user", "ann", 5).key),
        (object_key.producer_id_ledger(), object_key.ProducerIdsKey(5).key),
        (object_key.session_ledger(7), object_key.SessionKey(SessionId(7, 5)).key),
        (object_key.epoch_ledger(partition), object_key.EpochKey(partition, 5).key),
        (object_key.manifest_ledger(partition), object_key.ManifestKey(partition, 5).key),
    ):
        assert object_key.ledger_key(ledger, 5) == key
        assert object_key.ledger_number(ledger, key) == 5
    record = object_key.RecordSegmentKey(partition, 0, 1, object_key.new_ulid(SYSTEM_CLOCK)).key
    batch = object_key.BatchSegmentKey(session, 0).key
    for prefix, key in (
        (object_key.records_of_topic(topic), record),
        (object_key.records_of_partition(partition), record),
        (object_key.batches_of_node(7), batch),
        (object_key.batches_of_session(session), batch),
        (object_key.epochs_of_topic(topic), object_key.EpochKey(partition, 0).key),
        (object_key.manifests_of_topic(topic), object_key.ManifestKey(partition, 0).key),
        (object_key.releases_of_topic(topic), object_key.ReleaseKey(partition, 0).key),
        (object_key.table_of_topic(topic), object_key.TableKey(topic, "x").key),
    ):
        assert key.startswith(prefix)
        assert prefix.endswith("/")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "cluster",
        "topics/x/0000000000",
        "topics/01234567-89AB-cdef-0123-456789abcdef/0000000000",
        "topics/01234567-89ab-cdef-0123-456789abcdef/0",
        "producer-ids/0000000001/",
        "sessions/0000000001/-000000001",
        "sessions/0000000001/0_00000001",
        "batches/0000000001/0000000001/0000000001",
        "records/01234567-89ab-cdef-0123-456789abcdef/0000000001/1-2.parquet",
        "settings/broker/a~2/0000000001",
        "settings/broker/~41/0000000001",
        "settings/broker/~FF/0000000001",
        "tables/01234567-89ab-cdef-0123-456789abcdef",
        "else/where",
    ],
)
def test_a_key_that_is_none_of_ours_is_corrupt(key: str) -> None:
    with pytest.raises(Corrupt, match="no key of a Cauce bucket"):
        object_key.parse_key(key)


@given(st.text(max_size=60))
def test_parsing_anything_gives_a_key_or_corrupt(text: str) -> None:
    with contextlib.suppress(Corrupt):
        assert object_key.parse_key(text).key == text


def test_another_ledgers_entry_is_corrupt() -> None:
    for key in ("sessions/0000000001/x", "sessions/0000000001", "sessions/0000000002/0000000001"):
        with pytest.raises(Corrupt, match="no entry"):
            object_key.ledger_number("sessions/0000000001", key)


def test_ulids_sort_by_the_clock_and_differ() -> None:
    class At(Clock):
        def __init__(self, ms: int) -> None:
            self.ms = ms

        def now_ms(self) -> int:
            return self.ms

    assert len({object_key.new_ulid(At(5)) for _ in range(100)}) == 100
    assert object_key.new_ulid(At(5)) < object_key.new_ulid(At(6)) < object_key.new_ulid(At(1_800_000_000_000))
