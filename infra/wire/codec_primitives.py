"""The small functions that generated code calls off the common path: varints, tagged sections, length faults."""

from typing import NoReturn

from infra.error_code import ErrorCode
from infra.errors import CauceError

# struct formats of the primitives with a fixed size, and the sizes in bytes
FORMATS = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "float64": "d",
    "uuid": "16s",
}
MAX_STRING_BYTES = 0x7FFF


class Malformed(CauceError):
    """Bytes are not the message they should be: the connection they came in by is closed."""

    code = ErrorCode.INVALID_REQUEST


def bad_length(field: str, length: int) -> NoReturn:
    """A length or count that is negative, null where null is not allowed, or beyond the bytes that are left."""
    raise Malformed(f"{field} has length {length}")


def read_uvarint(buffer: memoryview, position: int) -> tuple[int, int]:
    """An unsigned varint of at most 5 bytes and 32 bits; answers value and the position behind it."""
    value = shift = 0
    while True:
        byte = buffer[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 28:
            raise Malformed("varint is longer than 5 bytes")
    if value > 0xFFFFFFFF:
        raise Malformed("varint is greater than 32 bits")
    return value, position


def read_tag(buffer: memoryview, position: int, end: int) -> tuple[int, int, int]:
    """Tag, start and stop of one tagged field's value."""
    tag, position = read_uvarint(buffer, position)
    size, position = read_uvarint(buffer, position)
    if size > end - position:
        bad_length(f"tagged field {tag}", size)
    return tag, position, position + size


def skip_tags(buffer: memoryview, position: int, end: int) -> int:
    """Pass over a section of tagged fields of which none is known."""
    count, position = read_uvarint(buffer, position)
    for _ in range(count):
        _, _, position = read_tag(buffer, position, end)
    return position


def uvarint(value: int) -> bytes:
    """An unsigned varint as bytes."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_string_length(out: bytearray, length: int) -> None:
    """Write a compact string's length that does not fit one byte."""
    if length > MAX_STRING_BYTES:
        raise ValueError(f"a string of {length} bytes is too long")
    out += uvarint(length + 1)


def put_tags(out: bytearray, tagged: list[tuple[int, bytearray]]) -> None:
    """Write a section of tagged fields, given in ascending order of tag."""
    out += uvarint(len(tagged))
    for tag, value in tagged:
        out += uvarint(tag)
        out += uvarint(len(value))
        out += value
