"""What a soak counts and what it found wrong, from all of its threads."""

import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Score:
    """Counts by name, failures as sentences, and what every part has to know: when to stop."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    disturbed_until: float = 0.0  # monotonic; until then a node was just killed and nobody has to be quick
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, count: int = 1) -> None:
        """Count something."""
        with self._lock:
            self.counts[name] += count

    def fail(self, place: str, sentence: str) -> None:
        """Something is wrong: topic and partition, and what was expected."""
        line = f"seed {self.seed}: {place}: {sentence}"
        with self._lock:
            self.failures.append(line)
            if len(self.failures) <= 20:
                print(f"{time.strftime('%H:%M:%S', time.gmtime())} WRONG: {line}", file=sys.stderr, flush=True)

    def disturb(self, seconds: float) -> None:
        """Clients may be slow for so long."""
        self.disturbed_until = time.monotonic() + seconds

    @property
    def disturbed(self) -> bool:
        """Whether a slow answer proves nothing."""
        return time.monotonic() < self.disturbed_until
