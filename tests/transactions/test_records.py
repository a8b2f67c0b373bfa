"""Records of `__transaction_state`: as Kafka writes them, there and back."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import CauceError
from infra.wire.codec import encode
from infra.wire.messages.transaction_log import PartitionsSchema, TransactionLogValue
from ingest.coordinator.transaction import TransactionRecord
from ingest.coordinator.transaction_records import TransactionChange, decode_change, encode_change
from ingest.coordinator.transaction_state import TransactionState

names = st.text(max_size=20)
times = st.integers(-1, 2**62)
IN_LOG = [state for state in TransactionState if state <= TransactionState.COMPLETE_ABORT]


@st.composite
def records(draw: st.DrawFn) -> TransactionRecord:
    state = draw(st.sampled_from(IN_LOG))
    partitions = st.frozensets(st.tuples(names, st.integers(0, 2**31 - 1)), max_size=5)
    return TransactionRecord(
        producer_id=draw(st.integers(0, 2**62)),
        epoch=draw(st.integers(-1, 2**15 - 1)),
        timeout_ms=draw(st.integers(1, 2**31 - 1)),
        state=state,
        partitions=frozenset() if state is TransactionState.EMPTY else draw(partitions),
        started_ms=draw(times),
        updated_ms=draw(times),
    )


def test_a_transaction_is_stored_as_kafka_stores_it() -> None:
    record = TransactionRecord(
        producer_id=7,
        epoch=3,
        timeout_ms=60_000,
        state=TransactionState.PREPARE_COMMIT,
        partitions=frozenset({("b", 1), ("a", 4), ("a", 2)}),
        started_ms=1_000,
        updated_ms=2_000,
    )
    key, value = encode_change(TransactionChange("pay", record))
    assert key == b"\0\0" + b"\0\3pay"
    assert value == (
        b"\0\0"
        + struct.pack(">qhib", 7, 3, 60_000, 2)
        + struct.pack(">i", 2)
        + (b"\0\1a" + struct.pack(">iii", 2, 2, 4))
        + (b"\0\1b" + struct.pack(">ii", 1, 1))
        + struct.pack(">qq", 2_000, 1_000)
    )


def test_an_id_without_a_transaction_has_no_partitions_rather_than_none_of_them() -> None:
    record = TransactionRecord(producer_id=7, epoch=0, timeout_ms=1, updated_ms=2_000)
    _, value = encode_change(TransactionChange("pay", record))
    assert value is not None
    assert struct.unpack_from(">i", value, 2 + 15) == (-1,)


@given(names, st.none() | records())
def test_there_and_back(name: str, record: TransactionRecord | None) -> None:
    change = TransactionChange(name, record)
    assert decode_change(*encode_change(change)) == change


def test_newer_brokers_values_are_read() -> None:
    value = TransactionLogValue(
        producer_id=7,
        previous_producer_id=6,
        next_producer_id=8,
        producer_epoch=3,
        transaction_timeout_ms=5,
        transaction_status=1,
        transaction_partitions=[PartitionsSchema(topic="a", partition_ids=[2])],
        transaction_last_update_timestamp_ms=2,
        transaction_start_timestamp_ms=1,
        client_transaction_version=2,
    )
    key, _ = encode_change(TransactionChange("pay", None))
    change = decode_change(key, b"\0\1" + encode(value, 1))
    assert change is not None
    assert change.record is not None
    assert (change.record.producer_id, change.record.state, change.record.partitions) == (7, 1, {("a", 2)})


def test_what_is_no_transaction_is_told_apart() -> None:
    assert decode_change(None, b"") is None
    assert decode_change(b"\0\5whatever", b"") is None, "a kind of record that is not known yet"
    key, value = encode_change(
        TransactionChange("pay", TransactionRecord(producer_id=7, epoch=0, timeout_ms=1, updated_ms=2))
    )
    assert value is not None
    for broken in (b"", value[:-1], b"\0\7" + value[2:], value[:16] + b"\x09" + value[17:]):
        with pytest.raises(CauceError):
            decode_change(key, broken)
