"""A WAL on a disk that loses power, driven step by step without threads, and the check of what came back."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from infra.disk import Disk, DiskFile
from infra.errors import Unavailable
from infra.partition import PartitionId
from infra.records.batch import stamp
from infra.store.port import Buffer
from ingest.wal.frame import WalEntry
from ingest.wal.recovery import Recovered, recover
from ingest.wal.writer import Wal
from tests.disk_twin import TwinDisk
from tests.wal.batches import batch_of_size

FOLDER = Path("/node/wal")
SECTOR = 512


class SectorDisk(TwinDisk):
    """Tears a write into sectors that survive each for itself, in any order: what old bytes lie there shows through."""

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, write: bool = True) -> DiskFile:
        return _SectorFile(super().open(path, create=create, exclusive=exclusive, write=write))


class _SectorFile:
    def __init__(self, file: DiskFile) -> None:
        self._file = file
        self.pread, self.sync, self.truncate = file.pread, file.sync, file.truncate
        self.size, self.close = file.size, file.close

    def pwrite(self, buffers: Sequence[Buffer], position: int) -> int:
        data = memoryview(b"".join(buffers))
        done = 0
        while done < len(data):
            part = data[done : done + SECTOR - (position + done) % SECTOR]
            self._file.pwrite([part], position + done)
            done += len(part)
        return done


@dataclass
class Run:
    """One life after another of a WAL; remembers what was appended and what was acknowledged."""

    disk: Disk
    file_bytes: int = 4096
    appended: list[WalEntry] = field(default_factory=list)
    acknowledged: list[WalEntry] = field(default_factory=list)
    trimmed: list[WalEntry] = field(default_factory=list)
    wal: Wal | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _ends: list[tuple[int, WalEntry]] = field(default_factory=list)
    _scheduled: list[Callable[[], None]] = field(default_factory=list)
    _next: int = 0

    def start(self) -> Recovered:
        self._scheduled.clear()
        self.wal = Wal.open(
            FOLDER, loop=self.loop, file_bytes=self.file_bytes, disk=self.disk, schedule=self._scheduled.append
        )
        recovered = self.wal.recovered
        # From here on others rely on what came back, as if it had been acknowledged.
        known = {_key(entry) for entry in self.acknowledged}
        self.acknowledged += [entry for entry, _ in recovered.entries() if _key(entry) not in known]
        self._ends = [(end, entry) for entry, end in recovered.entries()]
        return recovered

    def append(self, sizes: Sequence[int]) -> None:
        assert self.wal is not None
        entries = [self._entry(size) for size in sizes]

        def done(failure: BaseException | None) -> None:
            if failure is None:
                self.acknowledged.extend(entries)

        try:
            position = self.wal.append(entries, done)
        except Unavailable:
            return
        self.appended.extend(entries)
        for entry in reversed(entries):
            self._ends.append((position, entry))
            position -= len(entry.batch) + 80
        self._ends.sort(key=lambda pair: pair[0])

    def write(self) -> None:
        """Do what the writer's thread would do with all that waits."""
        for write in self._scheduled:
            write()
        self._scheduled.clear()
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def trim(self, keep: int) -> None:
        """Trim all but the last `keep` entries that were acknowledged or recovered."""
        assert self.wal is not None
        if self._scheduled:
            return
        cut = max(0, len(self._ends) - keep)
        if cut:
            self.wal.trim(self._ends[cut - 1][0])
            self.trimmed.extend(entry for _, entry in self._ends[:cut])
            del self._ends[:cut]

    def check(self, recovered: Recovered) -> None:
        """Everything acknowledged and not trimmed is there, in the order of appending; nothing was invented."""
        assert recovered.damage == (), recovered.damage
        found = [_key(entry) for entry, _ in recovered.entries()]
        order = {_key(entry): index for index, entry in enumerate(self.appended)}
        places = [order[key] for key in found]
        assert places == sorted(set(places)), "out of order, twice, or invented"
        gone = {_key(entry) for entry in self.trimmed}
        missing = [_key(entry)[:2] for entry in self.acknowledged if _key(entry) not in gone | set(found)]
        assert not missing, f"acknowledged and lost: {missing}"

    def recover(self) -> Recovered:
        return recover(FOLDER, self.disk)

    def close(self) -> None:
        self.loop.close()

    def live(self, seed: int, steps: int = 12) -> None:
        """Start, append groups, trim, write, by chance; ends by itself or in a power loss."""
        chance = random.Random(seed)
        self.check(self.start())
        for _ in range(steps):
            action = chance.random()
            if action < 0.5:
                self.append([chance.choice((61, 100, 700, 1500, 3900, 5000)) for _ in range(chance.randint(1, 4))])
            elif action < 0.7:
                self.trim(chance.randint(0, 3))
            else:
                self.write()
        self.write()

    def _entry(self, size: int) -> WalEntry:
        self._next += 1
        batch = batch_of_size(size, self._next)
        stamp(memoryview(batch), self._next, self._next % 7)
        partition = PartitionId(UUID(int=self._next % 3 + 1), self._next % 5)
        return WalEntry(partition, self._next % 7, self._next, batch)


def _key(entry: WalEntry) -> tuple[int, PartitionId, int, bytes]:
    return entry.base_offset, entry.partition, entry.leader_epoch, bytes(entry.batch)
