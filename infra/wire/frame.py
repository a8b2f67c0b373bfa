"""Kafka's framing: an int32 length, then that many bytes. Bytes in, whole frames out; no socket here.

A connection asks `target()` where the next bytes should go and tells `received()` how many came. Small frames pass
through a receive buffer that all connections of a loop share, and are copied out; a large frame is received directly
into a pooled buffer of its own. Every frame is a writable memoryview that nothing else writes to.
"""

import struct

from infra.limits import SMALL_FRAME_BYTES
from infra.wire.buffer_pool import BufferPool

_PREFIX_BYTES = 4
_LENGTH = struct.Struct(">i")


class FrameReceiver:
    """The receiving half of one connection.

    `failure` says why the stream cannot be understood any further (a length that is negative or above the limit);
    frames before that are still given, whatever comes after is ignored.
    """

    def __init__(self, pool: BufferPool, shared: memoryview, max_frame_bytes: int) -> None:
        self._pool = pool
        self._shared = shared
        self._max_frame_bytes = max_frame_bytes
        self._prefix = bytearray()  # of the next frame, while it is incomplete
        self._frame: memoryview | None = None  # being filled
        self._filled = 0
        self.failure: str | None = None

    def allow(self, max_frame_bytes: int) -> None:
        """Frames may be so long from the next one on."""
        self._max_frame_bytes = max_frame_bytes

    @property
    def partial_bytes(self) -> int:
        """Bytes received of a frame that is not complete yet."""
        return self._filled if self._frame is not None else len(self._prefix)

    def target(self) -> memoryview:
        """Where to put the next bytes; never empty. To be asked anew after each `received`."""
        frame = self._frame
        if frame is not None and len(frame) >= SMALL_FRAME_BYTES:
            return frame[self._filled :]
        return self._shared

    def received(self, count: int) -> list[memoryview]:
        """`count` bytes have come into the last target: the frames which that completes, in order."""
        frame = self._frame
        if frame is not None and len(frame) >= SMALL_FRAME_BYTES:
            self._filled += count
            if self._filled < len(frame):
                return []
            self._frame = None
            return [frame]
        return self._split(count)

    def _split(self, count: int) -> list[memoryview]:
        frames: list[memoryview] = []
        shared, position = self._shared, 0
        while position < count and self.failure is None:
            if self._frame is None:
                position = self._begin(position, count)
                if self._frame is None:
                    break
            frame = self._frame
            end = min(position + len(frame) - self._filled, count)
            step = end - position
            frame[self._filled : self._filled + step] = shared[position:end]
            self._filled += step
            position = end
            if self._filled == len(frame):
                frames.append(frame)
                self._frame = None
        return frames

    def _begin(self, position: int, count: int) -> int:
        """Read the length prefix, perhaps a part of it, and make place for its frame; answers the position after."""
        missing = _PREFIX_BYTES - len(self._prefix)
        if count - position < missing:
            self._prefix += self._shared[position:count]
            return count
        if missing == _PREFIX_BYTES:
            (length,) = _LENGTH.unpack_from(self._shared, position)
        else:
            self._prefix += self._shared[position : position + missing]
            (length,) = _LENGTH.unpack(self._prefix)
            self._prefix.clear()
        if not 0 < length <= self._max_frame_bytes:
            self.failure = f"frame length {length} is not between 1 and {self._max_frame_bytes}"
            return count
        self._frame = self._pool.take(length) if length >= SMALL_FRAME_BYTES else memoryview(bytearray(length))
        self._filled = 0
        return position + missing
