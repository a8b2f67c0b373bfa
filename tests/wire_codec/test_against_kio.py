"""kio, another implementation made from Kafka's definitions, reads what we write and writes the same bytes."""

import io
import re
import sys
from random import Random
from typing import Any

import pytest
from kio.index import load_entity_schema, load_request_schema, load_response_schema
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType

from infra.wire.codec import decode_whole, encode
from tests.wire_codec.catalogue import every_version, sample

SAMPLES = 4
UNKNOWN_TO_KIO = {  # records of a coordinator, and versions that Kafka 4 no longer has
    ("TransactionLogKey", 0),
    ("TransactionLogValue", 0),
    ("TransactionLogValue", 1),
    ("WriteTxnMarkersRequest", 0),
    ("WriteTxnMarkersResponse", 0),
}
PAIRS = [(cls, version) for cls, version in every_version() if (cls.__name__, version) not in UNKNOWN_TO_KIO]


def kio_class(cls: type, version: int) -> Any:
    """kio's class of the same message and version."""
    api_key = getattr(sys.modules[cls.__module__], "API_KEY", None)
    if api_key is None:
        name = "_".join(re.findall("[A-Z][a-z]+", cls.__name__)).lower()
        return load_entity_schema(name, version, EntityType.data)
    return (load_request_schema if cls.__name__.endswith("Request") else load_response_schema)(api_key, version)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].__name__}-{pair[1]}")
def test_kio_agrees(pair: tuple[type, int]) -> None:
    cls, version = pair
    theirs = kio_class(cls, version)
    read, write = entity_reader(theirs), entity_writer(theirs)
    for message in [cls(), *(sample(Random(f"{cls}{version}{i}"), cls, version, tame=True) for i in range(SAMPLES))]:
        encoded = encode(message, version)
        entity, size = read(encoded, 0)
        assert size == len(encoded)
        written = io.BytesIO()
        write(written, entity)
        assert written.getvalue() == encoded
        assert decode_whole(cls, version, written.getvalue()) == message
