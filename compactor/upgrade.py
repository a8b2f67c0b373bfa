"""Whether a compactor waits for a rolling upgrade: a node of an earlier release could not read what it would write.

Without I/O; told of the live nodes and the time. A node that was there a moment ago counts: one that is killed and
comes back as it was, or has not entered a view that was just built anew, is still part of the cluster.
"""

import logging
from collections.abc import Sequence

log = logging.getLogger(__name__)

LINGER_SECONDS = 60.0


class Upgrade:
    """One for a compactor process."""

    def __init__(self) -> None:
        self._until = float("-inf")  # monotonic seconds
        self._waits = False

    def under_way(self, behind: Sequence[int], now: float) -> bool:
        """`behind`: ids of the live nodes of an earlier release, `now`: monotonic seconds. Says so once in the log."""
        if behind:
            self._until = now + LINGER_SECONDS
        waits = now < self._until
        if waits and not self._waits:
            log.warning("compaction waits until nodes of an earlier release are upgraded: %s", list(behind))
        elif self._waits and not waits:
            log.warning("every node is upgraded: compaction begins")
        self._waits = waits
        return waits
