"""What stands for Redis in memory: the state of one cluster's view, a clock, and who waits for hints.

Decides nothing about calls; `MemoryView` does.
"""

import asyncio
import copy
from dataclasses import dataclass, field
from uuid import UUID

from infra.clock import SYSTEM_CLOCK, Clock
from infra.partition import PartitionId, SessionId
from infra.view.memory_partition import MemoryPartition
from infra.view.port import LiveSession, OffsetKey, OffsetRow


@dataclass(slots=True)
class MemoryOffsets:
    """Materialised consumer offsets of one partition."""

    upto: int = 0
    leader_epoch: int = -1
    rows: dict[OffsetKey, OffsetRow | None] = field(default_factory=dict)
    groups: dict[str, bytes | None] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryState:
    """Everything that the view of one cluster knows."""

    incarnation: str | None = None
    recovery: tuple[str, int] | None = None  # owner, lapses at (ms)
    generation: int = 0
    sessions: dict[int, tuple[LiveSession, int]] = field(default_factory=dict)  # node id → session, lapses at (ms)
    leaders: dict[PartitionId, tuple[int, SessionId | None]] = field(default_factory=dict)  # None: released
    topics: dict[UUID, tuple[int, bytes] | None] = field(default_factory=dict)  # None: gone for good
    settings: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    partitions: dict[PartitionId, MemoryPartition] = field(default_factory=dict)
    manifests: dict[PartitionId, int] = field(default_factory=dict)
    work: dict[str, tuple[str, int]] = field(default_factory=dict)  # name → owner, lapses at (ms)
    offsets: dict[PartitionId, MemoryOffsets] = field(default_factory=dict)

    def known_epoch(self, partition: PartitionId) -> int:
        """The highest leader epoch that leases and extents tell of; -1 when neither does."""
        known = self.partitions.get(partition)
        leader = self.leaders.get(partition)
        return max(leader[0] if leader else -1, known.leader_epoch if known else -1)


class MemoryServer:
    """What several clients share: the state, a clock, and who waits for hints."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self.clock = clock
        self.state = MemoryState()
        self.down = False  # while True every call raises `Unavailable`
        self.failovers = 0  # after each it counts as another server
        self._waiting: dict[asyncio.Event, None] = {}  # in an order, so that a seeded run replays

    def wipe(self) -> None:
        """Forget everything, as FLUSHALL does."""
        self.state = MemoryState()

    def snapshot(self) -> MemoryState:
        """What a replica holds that lags from now on; give it to `restore`."""
        return copy.deepcopy(self.state)

    def restore(self, snapshot: MemoryState) -> None:
        """Fail over to a replica that has forgotten what came after its snapshot."""
        self.state = copy.deepcopy(snapshot)
        self.failovers += 1

    def hint(self) -> None:
        """Wake everyone who waits for a hint."""
        for event in self._waiting:
            event.set()

    def changed(self) -> None:
        """Raise the generation."""
        self.state.generation += 1
        self.hint()

    def listen(self) -> asyncio.Event:
        """An event that every later hint sets."""
        event = asyncio.Event()
        self._waiting[event] = None
        return event

    def forget(self, event: asyncio.Event) -> None:
        """End `listen`."""
        self._waiting.pop(event, None)
