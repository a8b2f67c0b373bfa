"""Retention as the worker runs it: raises a partition's log start offset, drops what is dead, keeps its producers.

The topic's ledger is read afresh before anything is raised: the view may not know of a longer `retention.ms` yet.
What retention or DeleteRecords made dead is recorded together with the producers that it told of; its objects are
garbage from then on.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from compactor.current_settings import CurrentSettings
from compactor.footers import Footers
from compactor.partition import PartitionWork
from compactor.producers import fold_producers, untold_extents
from compactor.replace import Replacer
from compactor.retention import RetentionPlan, plan_retention, settled_upto
from infra.clock import Clock
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord
from infra.errors import NotFound
from infra.partition import PartitionId
from infra.segment.extent import Extent, FlushedExtent

log = logging.getLogger(__name__)

_FOOTERS_AT_MOST = 1_000  # read for one record: a partition that nobody compacted for long takes several


class Retention:
    """Implements `Step`. Looks at each partition once in `log.retention.check.interval.ms`."""

    def __init__(
        self,
        replacer: Replacer,
        footers: Footers,
        settings: CurrentSettings,
        clock: Clock,
        *,
        interval_ms: int,
        producer_expiration_ms: int,
    ) -> None:
        self._replacer = replacer
        self._footers = footers
        self._settings = settings
        self._clock = clock
        self._interval_ms = interval_ms
        self._producer_expiration_ms = producer_expiration_ms
        self._due: dict[PartitionId, float] = {}  # on the monotonic clock

    async def run(self, work: PartitionWork) -> Manifest | None:
        """The manifest after what retention changed, None when it changed nothing or another compactor was faster."""
        now = self._clock.monotonic()
        if now < self._due.get(work.partition, now):
            return None
        plan = await self._plan(work)
        record, whole = await self._record(work, plan)
        after = None
        if record is not None:
            after = await self._replacer.replace(work.partition, work.manifest, record)
            if after is None:
                return None  # looked at again as soon as the newest manifest is known
        if whole:
            self._due[work.partition] = now + self._interval_ms / 1000
        if after is not None and after.log_start_offset > work.manifest.log_start_offset:
            log.info("%s begins at offset %d by retention", work, after.log_start_offset)
        return after

    def forget(self, partition: PartitionId) -> None:
        """The partition is gone, or another compactor's."""
        self._due.pop(partition, None)

    async def _plan(self, work: PartitionWork) -> RetentionPlan:
        now_ms = self._clock.now_ms()
        plan = plan_retention(work.manifest, work.published, work.settings, now_ms)
        if plan.log_start_offset == work.manifest.log_start_offset:
            return plan
        settings = await self._settings.read(work.partition.topic_id)
        if settings is None:
            return RetentionPlan(work.manifest.log_start_offset, ())
        return plan_retention(work.manifest, work.published, settings, now_ms)

    async def _record(self, work: PartitionWork, plan: RetentionPlan) -> tuple[ManifestRecord | None, bool]:
        """What to record, None when nothing changes; and whether it says all that there is to say."""
        record = ManifestRecord(plan.log_start_offset, removed=plan.removed)
        upto = settled_upto(work.manifest, work.published, plan.log_start_offset)
        if upto <= work.manifest.producers_upto:
            changed = plan.removed or plan.log_start_offset > work.manifest.log_start_offset
            return (record if changed else None), True
        raised = replace(work.manifest, log_start_offset=upto)
        dead = untold_extents(raised, work.published)
        whole = len(dead) <= _FOOTERS_AT_MOST
        if not whole:
            dead = dead[:_FOOTERS_AT_MOST]
            upto = dead[-1].last_offset + 1
            raised = replace(raised, log_start_offset=upto)
        flushed = await self._flushed(dead)
        expired_before_ms = self._clock.now_ms() - self._producer_expiration_ms
        producers = fold_producers(raised, work.published, flushed, (), expired_before_ms)
        return replace(record, producers=producers, producers_upto=upto), whole

    async def _flushed(self, dead: Sequence[Extent]) -> list[FlushedExtent]:
        """Dead extents with their producers. A segment that is gone must not stop what follows: the view knows them."""
        found = []
        for extent in dead:
            try:
                found.append((await self._footers.extent(extent))[0])
            except NotFound:
                log.warning("%s is gone, its producers are as the view tells", extent.segment)
        return found
