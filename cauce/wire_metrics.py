"""Counts what the wire tells: requests by API, connections, bytes that were no request."""

from infra.metrics import Metrics
from infra.wire.apis import API_NAMES
from infra.wire.observer import WireObserver


class WireMetrics(WireObserver):
    """Label children are kept: looking them up by name for each request would cost more than counting."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._requests = {key: metrics.requests.labels(name) for key, name in API_NAMES.items()}
        self._seconds = {key: metrics.request_seconds.labels(name) for key, name in API_NAMES.items()}
        self._errors = {key: metrics.request_errors.labels(name) for key, name in API_NAMES.items()}

    def on_connection(self, change: int) -> None:
        self._metrics.connections.inc(change)

    def on_connection_refused(self) -> None:
        self._metrics.connections_refused.inc()

    def on_request(self, api_key: int, version: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        self._requests[api_key].inc()
        self._seconds[api_key].observe(seconds)

    def on_bad_frame(self) -> None:
        self._metrics.bad_frames.inc()

    def on_authentication_failed(self) -> None:
        self._metrics.authentication_failed.inc()

    def on_handler_error(self, api_key: int, version: int) -> None:
        self._errors[api_key].inc()
