"""The audit log: who was refused what, and who changed what. JSON lines of the logger `cauce.audit`.

One line a decision. What is refused again and again is told once a minute, with how often: a client that tries for
ever must not fill a disk.
"""

import json
import logging
from datetime import UTC, datetime

from infra.clock import SYSTEM_CLOCK, Clock
from infra.security.acl import Operation, ResourceType
from infra.wire.apis import API_NAMES
from infra.wire.handler import RequestContext

AUDIT_LOGGER = "cauce.audit"
REPEAT_SECONDS = 60.0
_REMEMBERED = 10_000  # refusals that are not to be told again yet
_CHANGING = frozenset({Operation.CREATE, Operation.DELETE, Operation.ALTER, Operation.ALTER_CONFIGS})

_Refusal = tuple[str, str, int, Operation, ResourceType, str]


class Audit:
    """One a node."""

    def __init__(self, *, changes: bool, clock: Clock = SYSTEM_CLOCK, logger: logging.Logger | None = None) -> None:
        """`changes`: allowed administration is told too, not only what is refused."""
        self._changes = changes
        self._clock = clock
        self._log = logger or logging.getLogger(AUDIT_LOGGER)
        self._told: dict[_Refusal, tuple[float, int]] = {}  # when told last, how often refused since

    def decided(
        self, context: RequestContext, operation: Operation, resource_type: ResourceType, name: str, allowed: bool
    ) -> None:
        """A client may do something, or may not."""
        if allowed:
            if self._changes and operation in _CHANGING:
                self._tell(context, operation, resource_type, name, allowed, 1)
            return
        refusal = (context.principal, context.peer, context.api_key, operation, resource_type, name)
        now = self._clock.monotonic()
        at, times = self._told.get(refusal, (-REPEAT_SECONDS, 0))
        if now - at < REPEAT_SECONDS:
            self._told[refusal] = (at, times + 1)
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[refusal] = (now, 0)
        self._tell(context, operation, resource_type, name, allowed, times + 1)

    def _tell(
        self,
        context: RequestContext,
        operation: Operation,
        resource_type: ResourceType,
        name: str,
        allowed: bool,
        times: int,
    ) -> None:
        time = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        row = {
            "time": time.isoformat(timespec="milliseconds"),
            "principal": context.principal,
            "host": context.peer,
            "client_id": context.client_id,
            "listener": context.listener,
            "api": API_NAMES.get(context.api_key, str(context.api_key)),
            "operation": operation.name,
            "resource_type": resource_type.name,
            "resource": name,
            "allowed": allowed,
            "times": times,
        }
        self._log.info(json.dumps(row, ensure_ascii=False))
