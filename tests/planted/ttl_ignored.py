"""The TTL rule is ignored: a leader answers however long its session was not renewed."""

from infra.cluster.session import Session
from infra.errors import Fenced
from tests.planted import Patch


def _check_ttl(self: Session) -> None:
    if self._lost is not None:
        raise Fenced("it is over")


def plant(patch: Patch) -> None:
    patch(Session, "check_ttl", _check_ttl)
