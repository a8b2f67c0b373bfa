"""What the wire asks about clients that ask too much, and how it measures what a handler costs. Knows no quotas."""

from collections.abc import Coroutine, Generator
from typing import Any, Generic, Protocol, TypeVar

from infra.clock import Clock
from infra.wire.handler import RequestContext

T = TypeVar("T")


class RequestThrottle(Protocol):
    """Decides how long a connection is not read from (KIP-219)."""

    @property
    def active(self) -> bool:
        """Whether anybody may have to wait; while it is False nothing else is asked."""

    def begin(self, context: RequestContext, request: Any, request_bytes: int) -> float:
        """A request is about to be handled: seconds until the next one of its connection may be. May bound how much
        the request asks for."""

    def end(self, context: RequestContext, request: Any, response: Any, busy_seconds: float) -> float:
        """Its handler is done (`response` None: nothing is sent): the same, told to the client in the response."""


class Measured(Generic[T]):
    """Awaits a coroutine and counts for how long it kept the event loop busy; its waiting costs nobody anything."""

    def __init__(self, work: Coroutine[Any, Any, T], clock: Clock) -> None:
        self._work = work
        self._clock = clock
        self.busy_seconds = 0.0

    def __await__(self) -> Generator[Any, None, T]:
        failure: BaseException | None = None
        while True:
            begun = self._clock.monotonic()
            try:
                awaited = self._work.send(None) if failure is None else self._work.throw(failure)
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                self.busy_seconds += self._clock.monotonic() - begun
            failure = None
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 - a cancellation too: the coroutine must hear of it
                failure = error
