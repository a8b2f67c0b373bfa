"""A claimant creates no fence, so a leader that was only paused or cut off goes on acknowledging."""

from collections.abc import Sequence

from infra.partition import SessionId
from ingest.claims import Predecessor
from ingest.takeover import Takeover
from tests.planted import Patch


async def _fence(self: Takeover, befores: Sequence[Predecessor], own: SessionId) -> None:
    return


def plant(patch: Patch) -> None:
    patch(Takeover, "_fence", _fence)
