"""Frame buffers that are used again, so that large frames do not pay for fresh zeroed memory each time.

A buffer is lent as a memoryview and nobody gives it back: record batches stay views of it for as long as the tail
keeps them. Every memoryview holds one reference to the object it looks into, so a buffer is free again exactly when
the pool's own reference is the only one left. The pool knows nothing of frames, sockets or partitions.

Buffers are not zeroed (a bytearray would be): pages take memory when they are written, not when they are asked for. A
peer may say that a frame of the greatest size follows and send nothing, on as many connections as it likes.
"""

import sys
from collections import deque

import numpy as np
import numpy.typing as npt

from infra.limits import POOLED_BUFFERS_BYTES, SMALL_FRAME_BYTES

_Buffer = npt.NDArray[np.uint8]

_LARGEST_POOLED_BYTES = 16 * 1024 * 1024  # larger frames are rare; keeping their buffers would push out the useful ones
_LOOKED_AT = 8  # a take; the next one goes on from there, so that a few long-held buffers do not hide free ones


class BufferPool:
    """Byte-bounded. Buffers that are still viewed count as well; beyond the bound the oldest is forgotten.

    To be of use it must be larger than the tail whose batches are views of its buffers. Not for several threads;
    views may be dropped by any thread.
    """

    def __init__(self, max_bytes: int = POOLED_BUFFERS_BYTES) -> None:
        self._max_bytes = max_bytes
        self._by_size: dict[int, deque[_Buffer]] = {}
        self.bytes_kept = 0
        self.reused = 0  # how often a kept buffer served again
        self.made = 0  # how often a fresh one was needed

    def take(self, length: int) -> memoryview:
        """A writable view of exactly `length` bytes, contents undefined."""
        size = _size_class(length)
        kept = self._by_size.get(size)
        buffer = _first_free(kept) if kept else None
        if buffer is not None:
            self.reused += 1
        else:
            self.made += 1
            buffer = np.empty(size, np.uint8)
            self._keep(buffer)
        return buffer.data[:length]

    def _keep(self, buffer: _Buffer) -> None:
        size = len(buffer)
        if size > min(_LARGEST_POOLED_BYTES, self._max_bytes):
            return
        self._by_size.setdefault(size, deque()).append(buffer)
        self.bytes_kept += size
        while self.bytes_kept > self._max_bytes:
            self._forget_one()

    def _forget_one(self) -> None:
        """Let go of one buffer of the size that holds most bytes; whoever views it keeps it alive."""
        size = max(self._by_size, key=lambda size: size * len(self._by_size[size]))
        self._by_size[size].popleft()
        self.bytes_kept -= size
        if not self._by_size[size]:
            del self._by_size[size]


def _size_class(length: int) -> int:
    """Round up to one of four steps a doubling: at most a fifth of a buffer stays unused."""
    length = max(length, SMALL_FRAME_BYTES)
    step = 1 << (length.bit_length() - 3)
    return -(-length // step) * step


def _first_free(kept: deque[_Buffer]) -> _Buffer | None:
    """A buffer that nobody views, if one of the next few is; those looked at go to the end of the line."""
    for _ in range(min(_LOOKED_AT, len(kept))):
        buffer = kept[0]
        kept.rotate(-1)
        if sys.getrefcount(buffer) <= _FREE_REFCOUNT:
            return buffer
    return None


def _refcount_of_free() -> int:
    """What getrefcount says of a buffer that only a deque and one local name hold (it differs between Pythons)."""
    kept = deque([np.empty(1, np.uint8)])
    buffer = kept[0]
    return sys.getrefcount(buffer)


_FREE_REFCOUNT = _refcount_of_free()
