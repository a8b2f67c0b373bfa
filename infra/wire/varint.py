"""The few primitives of flexible versions that hand-written code needs: unsigned varints and tagged fields."""

from infra.store.port import Buffer

_LONGEST = 5  # bytes of a varint that carries 32 bits


def uvarint(value: int) -> bytes:
    """A number from 0 on, seven bits a byte, lowest first."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_uvarint(buffer: Buffer, position: int) -> tuple[int, int]:
    """The number and the position after it. Raises IndexError at the end of the buffer, ValueError above 32 bits."""
    value = buffer[position]
    if value < 0x80:
        return value, position + 1
    value &= 0x7F
    for step in range(1, _LONGEST):
        byte = buffer[position + step]
        value |= (byte & 0x7F) << (7 * step)
        if byte < 0x80:
            if value >> 32:
                break
            return value, position + step + 1
    raise ValueError(f"a varint at {position} does not fit 32 bits")


def skip_tagged_fields(buffer: Buffer, position: int) -> int:
    """Pass over the tagged fields of one struct, known or not; answers the position after them."""
    count, position = read_uvarint(buffer, position)
    if count > len(buffer) - position:
        raise ValueError(f"{count} tagged fields cannot stand at {position} of {len(buffer)} bytes")
    for _ in range(count):
        _, position = read_uvarint(buffer, position)
        size, position = read_uvarint(buffer, position)
        position += size
        if position > len(buffer):
            raise ValueError("a tagged field goes beyond its frame")
    return position
