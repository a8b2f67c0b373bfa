"""Compaction and merging as a step of the worker: plans by a look, reads the ledger before it acts, runs one plan."""

from dataclasses import replace

from compactor.ages import ExtentAges
from compactor.compaction import Compaction
from compactor.meter import Meter
from compactor.partition import PartitionWork
from compactor.planner import CompactionLimits, plan, waiting_bytes, waiting_extents
from compactor.plans import CompactionPlan
from compactor.replace import Replacer
from infra.clock import Clock
from infra.cluster.manifest import Manifest
from infra.partition import PartitionId


class CompactionStep:
    """Implements `Step`."""

    def __init__(
        self, compaction: Compaction, replacer: Replacer, limits: CompactionLimits, clock: Clock, meter: Meter
    ) -> None:
        self._compaction = compaction
        self._replacer = replacer
        self._limits = limits
        self._clock = clock
        self._meter = meter
        self._ages: dict[PartitionId, ExtentAges] = {}

    async def run(self, work: PartitionWork) -> Manifest | None:
        """As `Step.run`; one plan at a time."""
        if not self._plans(work):
            return None
        newest = await self._replacer.read(work.partition)
        work = replace(work, manifest=newest)
        plans = self._plans(work)
        return await self._compaction.run(plans[0], work) if plans else None

    def forget(self, partition: PartitionId) -> None:
        """The partition is gone."""
        self._ages.pop(partition, None)
        self._meter.backlog(partition, 0)

    def _plans(self, work: PartitionWork) -> list[CompactionPlan]:
        now = self._clock.monotonic()
        ages = self._ages.setdefault(work.partition, ExtentAges())
        ages.saw(work.published.end_offset, work.manifest.floor, now)
        waiting = waiting_extents(work.manifest, work.published.extents)
        self._meter.backlog(work.partition, waiting_bytes(waiting))
        return plan(work, ages, self._limits, now)
