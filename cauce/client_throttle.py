"""Client quotas at the wire: follows the quotas of the cluster, and charges requests and answers to those who ask.

Produce is charged by the bytes of its request as it comes, Fetch by the bytes of records that it is given, and every
request by the time it keeps the event loop busy. Nodes that ask one another are not throttled.
"""

import logging
from typing import Any

from infra.clock import Clock
from infra.cluster.state import ClusterState
from infra.errors import CauceError
from infra.security.quota import CONSUME, PRODUCE, REQUEST, Quotas
from infra.security.quota_ledger import QUOTAS, quotas_of
from infra.security.throttle import BURST_SECONDS, Throttle
from infra.wire.handler import RequestContext
from infra.wire.messages import (
    add_partitions_to_txn,
    api_versions,
    fetch,
    produce,
    sasl_authenticate,
    sasl_handshake,
    write_txn_markers,
)

log = logging.getLogger(__name__)

_NOBODYS = frozenset(
    {api_versions.API_KEY, sasl_handshake.API_KEY, sasl_authenticate.API_KEY, write_txn_markers.API_KEY}
)
_FIRST_ADD_PARTITIONS_OF_NODES = 4
_LONGEST_FOR_TIME_SECONDS = 1.0  # as Kafka: a client cannot know beforehand what a request costs, so no answer is far


class ClientThrottle:
    """One a node: rates are each node's own, as in Kafka. Implements `RequestThrottle`."""

    def __init__(self, state: ClusterState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._throttle = Throttle()
        self._seen: Any = None  # the settings that the quotas were made of
        self.active = False
        state.on_change(self._follow)
        self._follow()

    def begin(self, context: RequestContext, request: Any, request_bytes: int) -> float:
        """As `RequestThrottle.begin`."""
        if context.api_key == produce.API_KEY:
            return self._use(PRODUCE, context, request_bytes)
        if context.api_key == fetch.API_KEY and not _is_of_a_node(context, request):
            limit = self._throttle.limit(CONSUME, context.principal, context.client_id)
            if limit is not None:
                request.max_bytes = min(request.max_bytes, max(1, int(limit.rate * BURST_SECONDS)))
        return 0.0

    def end(self, context: RequestContext, request: Any, response: Any, busy_seconds: float) -> float:
        """As `RequestThrottle.end`."""
        if context.api_key in _NOBODYS or _is_of_a_node(context, request):
            return 0.0
        waits = [min(_LONGEST_FOR_TIME_SECONDS, self._use(REQUEST, context, busy_seconds * 100))]
        if context.api_key == produce.API_KEY:
            waits.append(self._use(PRODUCE, context, 0))
        elif context.api_key == fetch.API_KEY:
            waits.append(self._use(CONSUME, context, _bytes_of_records(response)))
        seconds = max(waits)
        if seconds and response is not None:
            response.throttle_time_ms = round(seconds * 1000)
        return seconds

    def _use(self, key: str, context: RequestContext, amount: float) -> float:
        return self._throttle.use(key, context.principal, context.client_id, amount, self._clock.monotonic())

    def _follow(self) -> None:
        settings = self._state.settings(QUOTAS)
        if settings is self._seen:
            return
        try:
            self._throttle.quotas = Quotas(quotas_of(settings))
        except CauceError as error:
            log.error("the quotas cannot be read, those known before stay in force: %s", error)
            return
        self._seen = settings
        self.active = bool(self._throttle.quotas)


def _is_of_a_node(context: RequestContext, request: Any) -> bool:
    if context.api_key == fetch.API_KEY:
        return bool(request.replica_id >= 0 or request.replica_state.replica_id >= 0)
    return context.api_key == add_partitions_to_txn.API_KEY and context.api_version >= _FIRST_ADD_PARTITIONS_OF_NODES


def _bytes_of_records(response: fetch.FetchResponse) -> int:
    return sum(
        sum(map(len, partition.records))
        if isinstance(partition.records, list | tuple)
        else len(partition.records or b"")
        for topic in response.responses
        for partition in topic.partitions
    )
