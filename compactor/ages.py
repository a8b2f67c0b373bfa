"""How long records have waited in extents, as far as this process has seen: no clock of another machine is asked.

Marks are few however often one looks: an old stretch of marks is thinned out, which only makes records look younger.
"""

from collections import deque

_MOST_MARKS = 64


class ExtentAges:
    """The waiting records of one partition."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, float]] = deque()  # (end offset, monotonic seconds when it was first seen)

    def saw(self, end_offset: int, floor: int, now: float) -> None:
        """The log was published up to `end_offset`; what lies below `floor` waits no more. `now`: monotonic seconds."""
        while self._marks and self._marks[0][0] <= floor:
            self._marks.popleft()
        newest = self._marks[-1][0] if self._marks else floor
        if end_offset > newest:
            self._marks.append((end_offset, now))
        if len(self._marks) > _MOST_MARKS:
            self._marks = deque(mark for at, mark in enumerate(self._marks) if at % 2)

    def oldest_seconds(self, now: float) -> float:
        """How long the oldest waiting record has been known; 0 when none waits."""
        return now - self._marks[0][1] if self._marks else 0.0
