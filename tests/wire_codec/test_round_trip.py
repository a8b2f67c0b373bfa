"""What is written is read back: every message in every version."""

import sys
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.wire.codec import Malformed, decode, decode_whole, encode
from infra.wire.message import table_of
from infra.wire.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from infra.wire.messages.fetch import EpochEndOffset, FetchableTopicResponse, FetchResponse, PartitionData
from infra.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from infra.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tests.wire_codec.catalogue import every_version, message_classes, sample

PAIRS = every_version()


@given(st.sampled_from(PAIRS), st.randoms(use_true_random=False), st.binary(max_size=9))
@settings(max_examples=600, deadline=None)
def test_round_trip(pair: tuple[type, int], random: Random, around: bytes) -> None:
    cls, version = pair
    message = sample(random, cls, version)
    encoded = encode(message, version)
    assert decode(cls, version, around + encoded + around, len(around)) == (message, len(around) + len(encoded))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].__name__}-{pair[1]}")
def test_every_version_holds_defaults_and_random_values(pair: tuple[type, int]) -> None:
    cls, version = pair
    for message in (cls(), sample(Random(f"{cls.__name__}{version}"), cls, version)):
        assert decode_whole(cls, version, encode(message, version)) == message


def test_request_and_response_of_an_api_have_the_same_versions() -> None:
    requests = [cls for cls in message_classes() if cls.__name__.endswith("Request")]
    for cls in requests:
        response = getattr(sys.modules[cls.__module__], cls.__name__.removesuffix("Request") + "Response")
        asked, answered = table_of(cls), table_of(response)
        assert (asked.versions, asked.flexible) == (answered.versions, answered.flexible), cls.__name__
    assert len(requests) == 52


def test_defaults_are_not_shared() -> None:
    first, second = PartitionData(), PartitionData()
    first.diverging_epoch.epoch = 7
    assert second.diverging_epoch == EpochEndOffset(epoch=-1, end_offset=-1)
    one, other = MetadataResponse(), MetadataResponse()
    assert one.brokers is not other.brokers
    response, _ = decode(FetchResponse, 16, encode(FetchResponse(responses=[FetchableTopicResponse()]), 16))
    assert response.node_endpoints is not decode(FetchResponse, 16, encode(response, 16))[0].node_endpoints


def test_known_bytes() -> None:
    answer = ApiVersionsResponse(api_keys=[ApiVersion(api_key=18, max_version=4)])
    assert encode(answer, 0).hex() == "000000000001001200000004"
    assert encode(answer, 3).hex() == "000002001200000004000000000000"
    request = MetadataRequest(topics=[MetadataRequestTopic(name="t")])
    assert encode(request, 4).hex() == "0000000100017401"
    assert encode(MetadataRequest(topics=None), 1).hex() == "ffffffff"


def test_record_data_is_a_view_of_the_frame() -> None:
    request = ProduceRequest(
        topic_data=[TopicProduceData(name="t", partition_data=[PartitionProduceData(records=b"batches")])]
    )
    for version in (3, 9):
        frame = bytearray(encode(request, version))
        records = decode_whole(ProduceRequest, version, frame).topic_data[0].partition_data[0].records
        assert isinstance(records, memoryview)
        assert records.obj is frame
        frame[frame.index(b"batches")] = ord("B")
        assert bytes(records) == b"Batches"


def test_record_data_in_several_buffers_travel_as_one() -> None:
    def response(records: Any) -> FetchResponse:
        partition = PartitionData(records=records)
        return FetchResponse(responses=[FetchableTopicResponse(partitions=[partition])])

    assert encode(response([b"one", memoryview(b"two")]), 12) == encode(response(b"onetwo"), 12)
    assert encode(response([]), 4) == encode(response(b""), 4) != encode(response(None), 4)


def test_unknown_tagged_fields_are_skipped() -> None:
    plain = encode(ApiVersionsRequest(client_software_name="c", client_software_version="1"), 3)
    tagged = plain[:-1] + bytes((2, 5, 3)) + b"abc" + bytes((0x80, 0x01, 0))
    assert decode_whole(ApiVersionsRequest, 3, tagged) == decode_whole(ApiVersionsRequest, 3, plain)
    beside_known = encode(FetchResponse(), 12)[:-1] + bytes((1, 90, 1, 65))
    assert decode_whole(FetchResponse, 12, beside_known) == FetchResponse()


def test_versions_outside_the_table_are_refused() -> None:
    with pytest.raises(Refused) as refused:
        decode(ApiVersionsRequest, 5, b"")
    assert refused.value.code is ErrorCode.UNSUPPORTED_VERSION
    with pytest.raises(Refused):
        encode(ApiVersionsRequest(), -1)
    with pytest.raises(TypeError):
        decode(dict, 0, b"")


@pytest.mark.parametrize(
    ("message", "version"),
    [
        (MetadataRequest(topics=None), 0),
        (ApiVersionsRequest(client_software_name=None), 3),  # type: ignore[arg-type]
        (ApiVersionsRequest(client_software_name="x" * 32768), 3),
        (ApiVersionsResponse(throttle_time_ms=2**31), 1),
        (MetadataRequest(topics=[MetadataRequestTopic(name="x" * 32768)]), 1),
    ],
)
def test_values_that_cannot_be_written_are_refused(message: Any, version: int) -> None:
    with pytest.raises(ValueError):
        encode(message, version)


def test_bytes_left_over_are_malformed() -> None:
    with pytest.raises(Malformed, match="2 bytes too many"):
        decode_whole(ApiVersionsRequest, 0, b"ab")
