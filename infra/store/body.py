"""What every store does alike with bodies and ranges."""

from collections.abc import Sequence

from infra.store.port import Buffer


def buffers_of(body: Buffer | Sequence[Buffer]) -> Sequence[Buffer]:
    """A body as a list of buffers."""
    if isinstance(body, bytes | bytearray | memoryview):
        return (body,)
    return body


def check_range(length: int) -> None:
    """Raise `ValueError` for a range of nothing: no store can be asked for one."""
    if length < 1:
        raise ValueError(f"a range of {length} bytes")


def slice_range(position: int, length: int, size: int) -> tuple[int, int]:
    """Where a range begins and ends in an object of `size` bytes. What lies beyond the object is cut off."""
    check_range(length)
    begin = min(position, size) if position >= 0 else max(0, size + position)
    return begin, min(size, begin + length)
