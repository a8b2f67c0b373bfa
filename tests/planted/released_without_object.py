"""A leader whose lease another may take goes on appending while it gives it back."""

from infra.partition import PartitionId
from ingest.leaders import Leaders
from tests.planted import Patch


async def _release(self: Leaders, partition: PartitionId) -> None:
    self.log(partition)  # it is led: say so, and go on


def plant(patch: Patch) -> None:
    patch(Leaders, "release", _release)
