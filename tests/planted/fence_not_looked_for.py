"""A leader does not look for its fence between the PUT of a segment and its publish."""

from infra.cluster.session import Session
from tests.planted import Patch


async def _look_for_fence(self: Session) -> None:
    return


def plant(patch: Patch) -> None:
    patch(Session, "look_for_fence", _look_for_fence)
