"""The hand-written codecs say exactly what the generic codec says, and cost nothing per record."""

import gc
import struct
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.wire.codec import Malformed, decode, encode
from infra.wire.fetch_codec import encode_fetch_response
from infra.wire.messages import fetch, produce
from infra.wire.produce_codec import decode_produce_request

int16s = st.integers(-(2**15), 2**15 - 1)
int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
names = st.one_of(st.text(max_size=20), st.just("t" * 200), st.just("ü" * 9000))
blobs = st.one_of(st.binary(max_size=100), st.integers(120, 140).map(bytes), st.just(bytes(20_000)))


produce_requests = st.builds(
    produce.ProduceRequest,
    transactional_id=st.none() | names,
    acks=int16s,
    timeout_ms=int32s,
    topic_data=st.lists(
        st.builds(
            produce.TopicProduceData,
            name=names,
            partition_data=st.lists(
                st.builds(produce.PartitionProduceData, index=int32s, records=st.none() | blobs), max_size=4
            ),
        ),
        max_size=4,
    ),
)


@given(produce_requests, st.integers(3, 11), st.binary(max_size=12))
def test_produce_requests_are_read_as_the_generic_codec_reads_them(
    request: produce.ProduceRequest, version: int, before: bytes
) -> None:
    frame = memoryview(bytearray(before + encode(request, version)))
    assert decode_produce_request(version, frame, len(before)) == (request, len(frame))
    assert decode(produce.ProduceRequest, version, frame, len(before)) == (request, len(frame))


@given(produce_requests, st.integers(3, 11), st.data())
def test_damaged_produce_requests_are_malformed_for_both_or_mean_the_same(
    request: produce.ProduceRequest, version: int, data: st.DataObject
) -> None:
    frame = bytearray(encode(request, version))
    for _ in range(data.draw(st.integers(0, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    view = memoryview(frame[: data.draw(st.integers(0, len(frame)))])
    assert outcome(lambda: decode_produce_request(version, view, 0)) == outcome(
        lambda: decode(produce.ProduceRequest, version, view, 0)
    )


def outcome(decoding: Callable[[], Any]) -> Any:
    try:
        return decoding()
    except Malformed:
        return Malformed


def test_unknown_tagged_fields_of_a_produce_request_are_skipped() -> None:
    tags = b"\x02" + b"\x05\x03abc" + b"\x63\x00"
    partition = struct.pack(">i", 3) + b"\x04abc" + tags
    frame = memoryview(
        bytearray(b"\0" + struct.pack(">hi", -1, 1000) + b"\x02" + b"\x02t" + b"\x02" + partition + tags + tags)
    )
    request, end = decode_produce_request(9, frame, 0)
    assert end == len(frame)
    assert bytes(request.topic_data[0].partition_data[0].records or b"") == b"abc"


partition_data = st.builds(
    fetch.PartitionData,
    partition_index=int32s,
    error_code=int16s,
    high_watermark=int64s,
    last_stable_offset=int64s,
    log_start_offset=int64s,
    diverging_epoch=st.builds(fetch.EpochEndOffset) | st.builds(fetch.EpochEndOffset, epoch=int32s, end_offset=int64s),
    current_leader=st.builds(fetch.LeaderIdAndEpoch)
    | st.builds(fetch.LeaderIdAndEpoch, leader_id=int32s, leader_epoch=int32s),
    snapshot_id=st.builds(fetch.SnapshotId) | st.builds(fetch.SnapshotId, end_offset=int64s, epoch=int32s),
    aborted_transactions=st.none()
    | st.lists(st.builds(fetch.AbortedTransaction, producer_id=int64s, first_offset=int64s), max_size=3)
    | st.just([fetch.AbortedTransaction()] * 200),
    preferred_read_replica=int32s,
    records=st.lists(blobs, max_size=3),
)

fetch_responses = st.builds(
    fetch.FetchResponse,
    throttle_time_ms=int32s,
    error_code=int16s,
    session_id=int32s,
    responses=st.lists(
        st.builds(
            fetch.FetchableTopicResponse,
            topic=names,
            topic_id=st.uuids(),
            partitions=st.lists(partition_data, max_size=4),
        ),
        max_size=4,
    ),
    node_endpoints=st.lists(
        st.builds(fetch.NodeEndpoint, node_id=int32s, host=names, port=int32s, rack=st.none() | names), max_size=2
    ),
)


@given(fetch_responses, st.integers(4, 16))
def test_fetch_responses_are_written_as_the_generic_codec_writes_them(
    response: fetch.FetchResponse, version: int
) -> None:
    buffers = encode_fetch_response(response, version)
    for topic in response.responses:
        for partition in topic.partitions:
            batches: Any = partition.records
            for batch in batches:
                assert any(batch is buffer for buffer in buffers), "record buffers are passed on as they are"
            partition.records = b"".join(batches)
    assert b"".join(buffers) == encode(response, version)


@pytest.mark.parametrize("version", [4, 11, 12, 16])
def test_no_records_are_empty_and_never_null(version: int) -> None:
    written = set()
    empties: list[list[bytes] | bytes | None] = [None, [], [b""], b""]
    for empty in empties:
        partition = fetch.PartitionData(records=empty)
        topic = fetch.FetchableTopicResponse(topic="t", topic_id=UUID(int=5), partitions=[partition])
        written.add(b"".join(encode_fetch_response(fetch.FetchResponse(responses=[topic]), version)))
    assert len(written) == 1
    decoded, _ = decode(fetch.FetchResponse, version, written.pop())
    records = decoded.responses[0].partitions[0].records
    assert isinstance(records, memoryview)
    assert records.nbytes == 0


def batch_of(records: int) -> bytes:
    """What matters here: bytes that grow with the number of records."""
    return bytes(61) + b"r" * 100 * records


def calls_during(work: Callable[[], Any]) -> int:
    """How many Python functions are called."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    work()  # whatever is made at first use
    gc.disable()  # its callbacks would be counted too
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.mark.parametrize("version", range(3, 12))
def test_reading_a_produce_request_costs_the_same_for_10_and_10_000_records(version: int) -> None:
    def calls(records: int) -> int:
        partition = produce.PartitionProduceData(index=0, records=batch_of(records))
        topic = produce.TopicProduceData(name="t", partition_data=[partition])
        frame = memoryview(bytearray(encode(produce.ProduceRequest(topic_data=[topic]), version)))
        return calls_during(lambda: decode_produce_request(version, frame, 0))

    assert calls(10) == calls(10_000)


@pytest.mark.parametrize("version", range(4, 17))
def test_writing_a_fetch_response_costs_the_same_for_10_and_10_000_records(version: int) -> None:
    def calls(records: int) -> int:
        partition = fetch.PartitionData(records=[memoryview(batch_of(records))])
        topic = fetch.FetchableTopicResponse(topic="t", partitions=[partition])
        return calls_during(lambda: encode_fetch_response(fetch.FetchResponse(responses=[topic]), version))

    assert calls(10) == calls(10_000)
