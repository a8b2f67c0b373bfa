"""A view that was rebuilt is told again what its leaders have published, while they go on publishing."""

import asyncio
from uuid import UUID

from infra.clock import SYSTEM_CLOCK
from infra.cluster.state import ClusterState
from infra.partition import Lease, PartitionId, SessionId
from infra.view.memory import MemoryView
from infra.view.memory_server import MemoryServer
from infra.view.port import PublishedPartition
from ingest.lease_teller import LeaseTeller
from tests.ingest.logs import Guard

SESSION = SessionId(1, 0)
_PARTITIONS = 1_000  # more than are told at once


class SlowView(MemoryView):
    """Takes its time, as a Redis does that many ask."""

    async def put_partition(self, partition: PartitionId, published: PublishedPartition) -> None:
        await asyncio.sleep(0)
        await super().put_partition(partition, published)


class GrowingLog:
    """A led log that publishes a record whenever it is asked to."""

    def __init__(self, partition: int) -> None:
        self.lease = Lease(PartitionId(UUID(int=1), partition), SESSION, 0)
        self.end = 0

    def published(self) -> PublishedPartition:
        return PublishedPartition(self.end, (), ())


def test_what_was_published_while_others_were_told_is_not_taken_back() -> None:
    async def body() -> None:
        server = MemoryServer(SYSTEM_CLOCK)
        view = SlowView(server)
        logs = [GrowingLog(number) for number in range(_PARTITIONS)]

        async def new_incarnation(name: str) -> None:
            assert await view.begin_rebuild("test", 10_000)
            await view.wipe("test")
            await view.install("test", name)
            await state.refresh()

        state = ClusterState(view, SYSTEM_CLOCK, "a-cluster")
        teller = LeaseTeller(view, state, lambda lease: None)
        await new_incarnation("first")
        await teller.again(logs, Guard())
        await new_incarnation("second")
        telling = asyncio.create_task(teller.again(logs, Guard()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        last = logs[-1]
        last.end = 7
        await view.put_partition(last.lease.partition, last.published())  # as a publish would
        await telling
        assert (await view.partition(last.lease.partition)).end_offset == 7

    asyncio.run(body())
