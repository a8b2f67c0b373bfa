"""Whole frames: the length, the header in its version, and the message, for both ends of a connection.

Which header a message has follows from its own version being flexible. ApiVersions is the exception: its answer has
the oldest header always, because who reads it does not know yet what we speak. Produce requests and Fetch responses
go through their hand-written codecs, all else through the generic one.
"""

import struct
from typing import Any

from infra.store.port import Buffer
from infra.wire import fetch_codec, produce_codec
from infra.wire.apis import api_key_of, request_class, request_table, response_class
from infra.wire.codec import Malformed, decode, encode
from infra.wire.codec_primitives import skip_tags
from infra.wire.messages import api_versions, fetch, produce

SHORTEST_HEAD_BYTES = 8

_HEAD = struct.Struct(">hhi")  # API key, version, correlation id
_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_ANSWER_HEAD = struct.Struct(">ii")  # frame length, correlation id


def read_head(frame: memoryview) -> tuple[int, int, int]:
    """API key, version and correlation id of a request frame of at least SHORTEST_HEAD_BYTES."""
    api_key, version, correlation_id = _HEAD.unpack_from(frame)
    return api_key, version, correlation_id


def decode_request(frame: memoryview, api_key: int, version: int) -> tuple[str | None, Any]:
    """Client id and request message of a frame (without its length). Raises `Malformed`.

    Bytes behind the message are passed over, as Kafka does: librdkafka leaves some behind Metadata.
    """
    try:
        client_id, position = _read_client_id(frame)
        if version in request_table(api_key).flexible:
            position = skip_tags(frame, position, len(frame))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Malformed(f"request header: {error}") from error
    if api_key == produce.API_KEY:
        request, _ = produce_codec.decode_produce_request(version, frame, position)
    else:
        request, _ = decode(request_class(api_key), version, frame, position)
    return client_id, request


def encode_response(message: Any, api_key: int, version: int, correlation_id: int) -> list[Buffer]:
    """A whole answer frame as buffers, record batches among them as they are."""
    body: list[Buffer]
    if api_key == fetch.API_KEY:
        body = fetch_codec.encode_fetch_response(message, version)
    else:
        body = [encode(message, version)]
    tagged = b"\0" if _answer_header_is_flexible(api_key, version) else b""
    length = 4 + len(tagged) + sum(map(len, body))
    return [_ANSWER_HEAD.pack(length, correlation_id) + tagged, *body]


def encode_request(message: Any, version: int, correlation_id: int, client_id: str | None) -> list[Buffer]:
    """A whole request frame as buffers."""
    api_key = api_key_of(type(message))
    body = encode(message, version)
    head = bytearray(_HEAD.pack(api_key, version, correlation_id))
    if client_id is None:
        head += _INT16.pack(-1)
    else:
        encoded = client_id.encode()
        head += _INT16.pack(len(encoded)) + encoded
    if version in request_table(api_key).flexible:
        head += b"\0"
    return [_INT32.pack(len(head) + len(body)) + bytes(head), body]


def correlation_id(frame: memoryview) -> int:
    """Which request an answer frame of at least 4 bytes belongs to."""
    (number,) = _INT32.unpack_from(frame)
    return int(number)


def decode_response(frame: memoryview, api_key: int, version: int) -> Any:
    """The message of an answer frame (without its length); records are views of it. Raises `Malformed`."""
    position = 4
    if api_key == api_versions.API_KEY and _says_unsupported(frame):
        version = 0
    if _answer_header_is_flexible(api_key, version):
        try:
            position = skip_tags(frame, position, len(frame))
        except IndexError as error:
            raise Malformed("response header ends too early") from error
    message, end = decode(response_class(api_key), version, frame, position)
    if end != len(frame):
        raise Malformed(f"answer of API {api_key} v{version}: {len(frame) - end} bytes too many")
    return message


def _read_client_id(frame: memoryview) -> tuple[str | None, int]:
    """A string with an int16 length even in flexible headers, so that old servers can read it; null is allowed."""
    position = SHORTEST_HEAD_BYTES
    (length,) = _INT16.unpack_from(frame, position)
    position += 2
    if length == -1:
        return None, position
    if not 0 <= length <= len(frame) - position:
        raise Malformed(f"request header: client id of {length} bytes")
    return str(frame[position : position + length], "utf-8"), position + length


def _answer_header_is_flexible(api_key: int, version: int) -> bool:
    return api_key != api_versions.API_KEY and version in request_table(api_key).flexible


def _says_unsupported(frame: memoryview) -> bool:
    """An ApiVersions answer with error 35 is in the format of v0, whatever was asked."""
    return len(frame) >= 6 and _INT16.unpack_from(frame, 4)[0] == 35
