"""A store that lets others go on in the middle of its requests, and a compactor's steps without their process."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from compactor.cleaning_pass import CleaningTools
from compactor.cleaning_step import Cleaning, CleaningLimits
from compactor.compaction import Compaction
from compactor.compaction_step import CompactionStep
from compactor.current_settings import CurrentSettings
from compactor.footers import Footers
from compactor.garbage_limits import GarbageLimits
from compactor.meter import Meter
from compactor.partition import Step
from compactor.planner import CompactionLimits
from compactor.reconcile import Garbage
from compactor.replace import Replacer
from compactor.retention_step import Retention
from compactor.segment_output import Bench
from infra.cluster.manifest import ManifestLedger
from infra.store.port import Buffer, ObjectInfo
from infra.view.port import View
from tests.cluster.world import CountingStore, FakeClock, World

GRACE_MS = 60_000
_EXPIRATION_MS = 10**12


class RestlessStore(CountingStore):
    """Others go on, by a random number of steps, before and after each request is carried out."""

    def __init__(self, clock: FakeClock, random: Random) -> None:
        super().__init__(clock)
        self._random = random

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        await self._rest()
        await super().create(key, body)  # type: ignore[arg-type]
        await self._rest()

    async def get(self, key: str) -> bytes:
        await self._rest()
        return await super().get(key)

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        await self._rest()
        return await super().get_range(key, position, length)

    async def head(self, key: str) -> ObjectInfo | None:
        await self._rest()
        return await super().head(key)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._rest()
        await super().delete(keys)

    async def _rest(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)


class Compactor:
    """The compactor's steps and its garbage collection, as a process that remembers nothing at its start."""

    def __init__(self, world: World, view: View, folder: Path, threads: ThreadPoolExecutor) -> None:
        store, clock, meter = world.store, world.clock, Meter()
        replacer = self.replacer = Replacer(ManifestLedger(store), view)
        footers, current = Footers(store, 1 << 20), CurrentSettings(store, "object")
        bench = Bench(store, folder, clock, threads, asyncio.Semaphore(2))
        compaction = Compaction(bench, replacer, footers, meter, "c", producer_expiration_ms=_EXPIRATION_MS)
        tools = CleaningTools(bench, replacer, meter, "c")
        self.steps: dict[str, Step] = {
            "expire": Retention(
                replacer, footers, current, clock, interval_ms=1, producer_expiration_ms=_EXPIRATION_MS
            ),
            "compact": CompactionStep(compaction, replacer, CompactionLimits(3000, 5.0), clock, meter),
            "clean": Cleaning(tools, current, CleaningLimits(True, 1, 400)),
        }
        limits = GarbageLimits(grace_ms=GRACE_MS, undelete_ms=GRACE_MS, interval_ms=1000, listed=50)
        self.garbage = Garbage(store, view, clock, replacer, limits, owner=clock.token())
