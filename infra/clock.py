"""Wall clock, monotonic clock, randomness and identifiers: the one place they come from.

Plain classes take values (now_ms) as arguments; the shells that drive them take a `Clock`, so that a test or a
simulation can hold time still.
"""

import os
import random
import time
import uuid


class Clock:
    """The real clock. Subclass it in tests."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since the epoch."""
        return time.time_ns() // 1_000_000  # noqa: TID251

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""
        return time.monotonic()

    def uuid(self) -> uuid.UUID:
        """A random (version 4) identifier."""
        return uuid.UUID(bytes=os.urandom(16), version=4)

    def token(self) -> str:
        """A short random word for writer ids: 16 hex digits."""
        return os.urandom(8).hex()

    def uniform(self, low: float, high: float) -> float:
        """A random number, for jitter."""
        return random.uniform(low, high)


SYSTEM_CLOCK = Clock()
