"""Reads a led partition's log back from wherever it lies: for coordinators, which load by replaying it."""

from collections.abc import AsyncIterator, Sequence

from infra.errors import Unavailable
from infra.partition import PartitionId
from infra.ports import TailSource
from infra.records.batch import BatchHeader
from infra.store.port import Buffer
from reader.catch_up import CatchUpReader
from reader.fetch_plan import TailRead, plan_read

_STEP_BYTES = 8 << 20  # bytes that one step gives, about


class LedLogs:
    """The logs of the partitions that this node leads."""

    def __init__(self, tails: TailSource, catch_up: CatchUpReader) -> None:
        self._tails = tails
        self._catch_up = catch_up

    async def read_log(self, partition: PartitionId, from_offset: int, upto: int) -> AsyncIterator[Sequence[Buffer]]:
        """Whole record batches in order, below `upto`; the first one contains `from_offset` or follows it.

        Raises `NotLeader` once the lease is gone, `Unavailable` when the store does not answer, `Corrupt`, `NotFound`
        and `BadStart` when segments are not what they should be.
        """
        offset = from_offset
        while offset < upto:
            log = self._tails.log(partition)
            offset = max(offset, log.log_start_offset)
            plan = plan_read(log, offset, _STEP_BYTES, upto, at_least_one=True)
            batches = plan.batches if isinstance(plan, TailRead) else await self._catch_up.read(log, plan)
            if not batches:
                raise Unavailable(f"{partition} cannot be read at offset {offset} now")
            yield batches
            offset = BatchHeader.parse(batches[-1]).last_offset + 1
