"""A lease is given back before what it has appended is in the bucket."""

from infra.errors import NotLeader
from infra.partition import PartitionId
from ingest.leaders import Leaders
from tests.planted import Patch


async def _release(self: Leaders, partition: PartitionId) -> None:
    log = self.log(partition)
    log.stop(NotLeader("it is being given back"))
    self.close(partition, "released")


def plant(patch: Patch) -> None:
    patch(Leaders, "release", _release)
