"""Back-pressure: appends wait, in the order they came, until the WAL and the memory for unpublished batches have room.

An append is a plain function that runs at once or later, never out of turn: so pipelined requests of one connection
append in the order they were sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_POLL_SECONDS = 0.05  # room may also come without our doing (a disk that was full)


@dataclass(frozen=True, slots=True)
class _Waiting:
    size: int
    batches: int
    append: Callable[[], None]
    left: Callable[[], None]
    ran: "asyncio.Future[None]"


class Admission:
    """`has_room(size, batches)` says whether so much may be appended now."""

    def __init__(self, has_room: Callable[[int, int], bool]) -> None:
        self._has_room = has_room
        self._queue: deque[_Waiting] = deque()
        self._poll: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def submit(
        self, size: int, batches: int, append: Callable[[], None], left: Callable[[], None]
    ) -> "asyncio.Future[None] | None":
        """Run `append` now (None), or answer a future that is done when it ran; cancelling that leaves the line.

        Who left is told by `left` when it would have been its turn, before anything behind it runs.
        """
        if not self._queue and self._has_room(size, batches):
            append()
            return None
        loop = asyncio.get_running_loop()
        waiting = _Waiting(size, batches, append, left, loop.create_future())
        self._queue.append(waiting)
        self._poll_later(loop)
        return waiting.ran

    def pump(self) -> None:
        """There may be room again: run what fits, in order."""
        while self._queue:
            waiting = self._queue[0]
            if waiting.ran.done():
                waiting.left()
            elif self._has_room(waiting.size, waiting.batches):
                self._run(waiting)
            else:
                return
            self._queue.popleft()

    @staticmethod
    def _run(waiting: _Waiting) -> None:
        try:
            waiting.append()
        except Exception as error:  # noqa: BLE001  it belongs to whoever waits
            waiting.ran.set_exception(error)
        else:
            waiting.ran.set_result(None)

    def _poll_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._poll is None:
            self._poll = loop.call_later(_POLL_SECONDS, self._polled, loop)

    def _polled(self, loop: asyncio.AbstractEventLoop) -> None:
        self._poll = None
        self.pump()
        if self._queue:
            self._poll_later(loop)
