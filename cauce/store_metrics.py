"""Joins what a store tells with the metrics."""

from collections.abc import Callable

from infra.metrics import Metrics

_FAILED = "error"


def store_observer(metrics: Metrics) -> Callable[[str, str, float, int], None]:
    """Counts requests to the object store by kind."""

    def observe(kind: str, outcome: str, seconds: float, size: int) -> None:
        metrics.store_requests.labels(kind).inc()
        if outcome == _FAILED:
            metrics.store_errors.labels(kind).inc()

    return observe
