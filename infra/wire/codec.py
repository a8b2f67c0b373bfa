"""Messages to bytes and back: the one door to the tables. Functions are generated at first use of (message, version).

Kafka's rules that hold for all: big-endian; in flexible versions lengths and counts are unsigned varints plus one, and
each struct ends with tagged fields, of which unknown ones are skipped. Nothing is allocated by a length that the
buffer cannot hold. Frames, sockets and what a message means are others' business.
"""

import struct
from typing import Any, TypeVar

from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.wire.codec_primitives import Malformed
from infra.wire.codec_reader import Decoder, compile_decoder
from infra.wire.codec_writer import Encoder, compile_encoder
from infra.wire.message import Table, table_of

__all__ = ["Malformed", "decode", "decode_whole", "encode", "encode_into"]

T = TypeVar("T")

_decoders: dict[tuple[type, int], Decoder] = {}
_encoders: dict[tuple[type, int], Encoder] = {}


def decode(cls: type[T], version: int, buffer: bytes | bytearray | memoryview, position: int = 0) -> tuple[T, int]:
    """Read one `cls` as of `version` from `position` on; answers it and the position behind it.

    Record data are memoryviews of `buffer`, everything else is copied. Raises `Malformed` when the bytes are not such
    a message, `Refused` (UNSUPPORTED_VERSION) when the table has no such version.
    """
    decoder = _decoders.get((cls, version))
    if decoder is None:
        decoder = _decoders[cls, version] = compile_decoder(cls, version, _flexible(cls, version))
    view = buffer if type(buffer) is memoryview and buffer.format == "B" else memoryview(buffer).cast("B")
    try:
        decoded: tuple[T, int] = decoder(view, position, len(view))
    except (struct.error, IndexError) as error:
        raise Malformed(f"{cls.__name__} v{version}: ends too early") from error
    except UnicodeDecodeError as error:
        raise Malformed(f"{cls.__name__} v{version}: a string is not UTF-8") from error
    except Malformed as error:
        raise Malformed(f"{cls.__name__} v{version}: {error}") from None
    return decoded


def decode_whole(cls: type[T], version: int, buffer: bytes | bytearray | memoryview, position: int = 0) -> T:
    """As `decode`, and `Malformed` too when bytes are left over."""
    message, end = decode(cls, version, buffer, position)
    if end != len(buffer):
        raise Malformed(f"{cls.__name__} v{version}: {len(buffer) - end} bytes too many")
    return message


def encode(message: Any, version: int) -> bytes:
    """The bytes of a message as of `version`; fields which that version does not have are left out.

    Raises `Refused` (UNSUPPORTED_VERSION) as `decode` does, ValueError for values that cannot be written.
    """
    out = bytearray()
    encode_into(out, message, version)
    return bytes(out)


def encode_into(out: bytearray, message: Any, version: int) -> None:
    """As `encode`, appended to `out`; what `out` holds after an exception is undefined."""
    cls = type(message)
    encoder = _encoders.get((cls, version))
    if encoder is None:
        encoder = _encoders[cls, version] = compile_encoder(cls, version, _flexible(cls, version))
    try:
        encoder(message, out)
    except (struct.error, AttributeError, TypeError) as error:
        raise ValueError(f"{cls.__name__} v{version} cannot be written: {error}") from error


def _flexible(cls: type, version: int) -> bool:
    table: Table = table_of(cls)
    if version not in table.versions:
        raise Refused(ErrorCode.UNSUPPORTED_VERSION, f"{cls.__name__} has versions {table.versions}, not {version}")
    return version in table.flexible
