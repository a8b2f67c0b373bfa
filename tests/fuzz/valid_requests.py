"""Requests that are valid as bytes, for every API and version, with values that range from plain to absurd."""

import struct
import uuid
from collections.abc import Sequence
from random import Random
from typing import Any

import crc32c

from infra.wire.apis import API_NAMES, request_class, request_table
from infra.wire.codec import encode
from infra.wire.message import Field, table_of
from infra.wire.messages import (
    alter_configs,
    create_partitions,
    delete_topics,
    incremental_alter_configs,
    produce,
)

TOPIC = "fuzz"
_NAMES = (TOPIC, "fuzz-2", "no such topic", "", "ü" * 40, "x" * 300, "../../etc", "a b\0c", "retention.ms", "-1")
_INTERNAL = "__consumer_offsets"
_MAY_HARM_INTERNAL = {  # as the owner of the cluster may, and then no honest client keeps its offsets
    alter_configs.API_KEY,
    create_partitions.API_KEY,
    delete_topics.API_KEY,
    incremental_alter_configs.API_KEY,
}
_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint16": 17, "uint32": 33}  # bits with a sign
_DEPTH = 5


def all_versions() -> list[tuple[int, int]]:
    """Each (API key, version) that the message tables have."""
    return [(api_key, version) for api_key in API_NAMES for version in request_table(api_key).versions.numbers()]


def request_body(random: Random, api_key: int, version: int) -> bytes:
    """A message with random values, encoded. Produce carries real record batches."""
    if api_key == produce.API_KEY:
        return produce_body(random, version, batch(random))
    names = _NAMES if api_key in _MAY_HARM_INTERNAL else (*_NAMES, _INTERNAL)
    return encode(_Maker(random, version, names).message(request_class(api_key), _DEPTH), version)


def produce_body(random: Random, version: int, records: bytes) -> bytes:
    """A Produce request with these records for one partition."""
    partition = produce.PartitionProduceData(index=random.choice((0, 0, 0, 1, -1, 2**31 - 1)), records=records)
    topic = produce.TopicProduceData(name=random.choice((TOPIC, TOPIC, "fuzz-2", "")), partition_data=[partition])
    request = produce.ProduceRequest(
        transactional_id=random.choice((None, None, None, "tx", "")),
        acks=random.choice((-1, 1, 0, 7)),
        timeout_ms=random.choice((1000, 0, -1, 2**31 - 1)),
        topic_data=[topic] * random.choice((1, 1, 1, 2, 0)),
    )
    return encode(request, version)


def batch(random: Random) -> bytes:
    """A record batch v2 of a few records, with the right CRC."""
    count = random.randint(1, 5)
    records = b"".join(_record(delta, random.randbytes(random.randint(0, 40))) for delta in range(count))
    checked = struct.pack(
        ">hiqqqhii",
        random.choice((0, 0, 0, 0x10, 0x20, 0x30, 1, 2, 3, 4, 7)),  # attributes: what they say is not always true
        count - 1,
        1_700_000_000_000,
        random.choice((1_700_000_000_000, -1, 2**62)),
        random.choice((-1, -1, 5, 2**62)),
        random.choice((-1, 0, 5)),
        random.choice((-1, 0, 2**31 - 1)),
        count,
    )
    checked += records
    return struct.pack(">qiibI", 0, 9 + len(checked), -1, 2, crc32c.crc32c(checked)) + checked


def _record(delta: int, value: bytes) -> bytes:
    body = bytes((0, 0, delta * 2, 1, len(value) * 2)) + value + b"\0"  # no key, no headers; all varints are short
    return _zigzag(len(body)) + body


def _zigzag(value: int) -> bytes:
    value, out = value * 2, bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


class _Maker:
    """Makes messages of one version; `names` are what strings say."""

    def __init__(self, random: Random, version: int, names: Sequence[str]) -> None:
        self._random = random
        self._version = version
        self._names = names
        self._long_arrays = 1 if random.random() < 0.1 else 0  # how many: their product would be a bomb

    def message(self, cls: type, depth: int) -> Any:
        fields = [field for field in table_of(cls).fields if self._version in field.versions]
        return cls(**{field.name: self._value(field, depth) for field in fields})

    def _value(self, field: Field, depth: int) -> Any:
        if self._version in field.nullable and self._random.random() < 0.2:
            return None
        if field.kind == "array":
            return [self._element(field.of, depth) for _ in range(self._count(depth))]
        return self._element(field.of if field.kind == "struct" else field.kind, depth)

    def _count(self, depth: int) -> int:
        if depth == 0:
            return 0
        if self._long_arrays and self._random.getrandbits(1):
            self._long_arrays -= 1
            return self._random.choice((100, 1000))
        return self._random.choice((0, 1, 1, 1, 2, 3))

    def _element(self, of: Any, depth: int) -> Any:
        random = self._random
        if not isinstance(of, str):
            return self.message(of, depth - 1)
        if of in _BITS:
            return _integer(random, _BITS[of], unsigned=of.startswith("u"))
        if of == "string":
            return random.choice((TOPIC, random.choice(self._names)))
        if of in ("bytes", "records"):
            return random.randbytes(random.choice((0, 1, 20, 200)))
        if of == "uuid":
            return uuid.UUID(bytes=random.choice((bytes(16), random.randbytes(16))))
        if of == "float64":
            return random.choice((0.0, -1.0, 1e300, float("nan"), float("inf")))
        return bool(random.getrandbits(1))


def _integer(random: Random, bits: int, unsigned: bool) -> int:
    """Small, or at an edge of the type: values in between would only make the node work, not stumble."""
    greatest = 2 ** (bits - 1) - 1
    least = 0 if unsigned else -greatest - 1
    return random.choice((0, 1, 2, 3, random.randint(0, 8), max(-1, least), least, greatest, greatest - 1))
