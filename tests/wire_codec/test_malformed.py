"""Bytes that are no message give `Malformed`, never another error, and never memory for what is not there."""

import tracemalloc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.error_code import ErrorCode
from infra.wire.codec import Malformed, decode, decode_whole, encode
from infra.wire.messages.api_versions import ApiVersionsRequest
from infra.wire.messages.create_topics import CreateTopicsRequest
from infra.wire.messages.describe_topic_partitions import DescribeTopicPartitionsRequest
from infra.wire.messages.fetch import FetchResponse
from infra.wire.messages.metadata import MetadataRequest
from infra.wire.messages.produce import ProduceRequest
from tests.wire_codec.catalogue import every_version, sample

PAIRS = every_version()


def attempt(cls: type, version: int, bytes_: bytes) -> None:
    try:
        _, position = decode(cls, version, bytes_)
    except Malformed:
        return
    assert 0 <= position <= len(bytes_)


@given(st.sampled_from(PAIRS), st.binary(max_size=200))
@settings(max_examples=600, deadline=None)
def test_any_bytes(pair: tuple[type, int], bytes_: bytes) -> None:
    attempt(*pair, bytes_)


@given(st.sampled_from(PAIRS), st.randoms(use_true_random=False), st.data())
@settings(max_examples=600, deadline=None)
def test_damaged_messages(pair: tuple[type, int], random: Random, data: st.DataObject) -> None:
    cls, version = pair
    damaged = bytearray(encode(sample(random, cls, version), version))
    for _ in range(data.draw(st.integers(1, 4)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.sampled_from((0, 1, 127, 128, 255)))
    attempt(cls, version, bytes(damaged))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].__name__}-{pair[1]}")
def test_every_truncation_is_malformed(pair: tuple[type, int]) -> None:
    cls, version = pair
    random = Random(f"cut {cls.__name__}{version}")
    encoded = min((encode(sample(random, cls, version), version) for _ in range(5)), key=len)
    step = max(1, len(encoded) // 200)
    for length in range(0, len(encoded), step):
        with pytest.raises(Malformed):
            decode(cls, version, encoded[:length])


@pytest.mark.parametrize(
    ("cls", "version", "text"),
    [
        (MetadataRequest, 1, "7fffffff"),  # a count beyond the frame
        (MetadataRequest, 1, "fffffffe"),  # less than null
        (MetadataRequest, 0, "ffffffff"),  # null where it is not allowed
        (MetadataRequest, 9, "ffffffff0f"),  # a compact count beyond the frame
        (MetadataRequest, 9, "ffffffffff7f"),  # a varint of six bytes
        (MetadataRequest, 9, "ffffffff7f"),  # a varint of 35 bits
        (MetadataRequest, 1, "000000010005616263"),  # a string beyond the frame
        (MetadataRequest, 1, "00000001ffff"),  # a null string
        (MetadataRequest, 1, "000000010001ff"),  # not UTF-8
        (ApiVersionsRequest, 3, "0101ffffffff0f"),  # more tagged fields than bytes
        (ApiVersionsRequest, 3, "0101010590"),  # a tagged field beyond the frame
        (FetchResponse, 16, "00000000000000000000010100020000"),  # a known tagged field with bytes left over
        (DescribeTopicPartitionsRequest, 0, "010000000001"),  # a struct that is announced and missing
    ],
)
def test_malformed(cls: type, version: int, text: str) -> None:
    with pytest.raises(Malformed) as malformed:
        decode_whole(cls, version, bytes.fromhex(text))
    assert malformed.value.code is ErrorCode.INVALID_REQUEST
    assert f"{cls.__name__} v{version}" in str(malformed.value)


@pytest.mark.parametrize(
    ("cls", "version", "text"),
    [
        (MetadataRequest, 1, "7fffffff"),
        (CreateTopicsRequest, 5, "8080808008"),
        (ProduceRequest, 3, "ffff0001000000007ffffffe"),
        (ProduceRequest, 9, "00000100000000030261008080808008"),
    ],
)
def test_a_length_alone_allocates_nothing(cls: type, version: int, text: str) -> None:
    frame = bytes.fromhex(text) + bytes(1000)
    attempt(cls, version, frame)
    tracemalloc.start()
    try:
        attempt(cls, version, frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300_000
