"""One client connection, decided without I/O: frames in, exchanges to start, answers out in order.

Requests are pipelined. Exchanges start in the order of arrival and run beside one another; answers leave strictly in
that order, so a Fetch that waits holds back the answers behind it but neither reading nor handling. When something
goes wrong, what was asked before it is still answered, and then the connection is finished. This file knows no
socket, task or clock; `channel.py` carries out what it says.
"""

from collections import deque
from collections.abc import Callable, Iterable

from infra.limits import MAX_FETCHES_PER_CONNECTION, MAX_PENDING_ANSWER_BYTES, WireLimits
from infra.store.port import Buffer
from infra.wire.exchange import API_KEY_FETCH, BadRequest, Exchange, RequestOpener


class Connection:
    """State of one connection.

    `charge` is told of each exchange as it starts. `muted`: nothing is started or read until its owner says so, for
    the client has asked too much. `closing`: no further bytes are wanted. `complaint`: what was wrong with the peer's
    bytes, if that is why.
    """

    def __init__(
        self, opener: RequestOpener, limits: WireLimits, charge: Callable[[Exchange], None] | None = None
    ) -> None:
        self._opener = opener
        self._limits = limits
        self._charge = charge
        self.muted = False
        self._waiting: deque[tuple[memoryview, float]] = deque()  # frames not yet started, and when they came
        self._running: deque[Exchange] = deque()  # started, in order, answered or not
        self._fetches = 0  # unanswered ones among them
        self._answer_bytes = 0  # answered, but held back by an exchange before them
        self.writable = True  # False while the peer does not read its answers
        self._running_bytes = 0  # of requests started and not answered
        self._authenticating = False  # what comes behind it must wait until it is known who that is
        self._cut = False  # nothing more may leave, whatever is still running
        self.bytes_held = 0  # request bytes waiting or running
        self.closing = False
        self.complaint: str | None = None

    @property
    def idle(self) -> bool:
        """Nothing waits, runs or has to be sent."""
        return not self._waiting and not self._running

    @property
    def finished(self) -> bool:
        """Whatever could be sent has been handed out, and nothing can follow."""
        return self._cut or (self.closing and self.idle)

    @property
    def wants_bytes(self) -> bool:
        """False when reading must pause until answers have left."""
        return not self.closing and not self._waiting and self._may_start()

    def frames_received(self, frames: Iterable[memoryview], now: float, failure: str | None = None) -> None:
        """Frames in order of arrival (`now`: seconds, monotonic); `failure` says why nothing can follow them."""
        if self.closing:
            return
        for frame in frames:
            self._waiting.append((frame, now))
            self.bytes_held += len(frame)
        if failure is not None:
            self.closing = True
            self.complaint = failure

    def start(self) -> list[Exchange]:
        """The exchanges that may start now, in order."""
        started: list[Exchange] = []
        while self._waiting and self._may_start():
            frame, received_at = self._waiting[0]
            try:
                exchange = self._opener.open(frame, received_at)
            except BadRequest as bad:
                self.complain(str(bad))
                break
            self._waiting.popleft()
            self._running.append(exchange)
            self._running_bytes += exchange.frame_bytes
            self._fetches += exchange.api_key == API_KEY_FETCH
            self._authenticating = exchange.authenticates
            started.append(exchange)
            if self._charge is not None:
                self._charge(exchange)
        return started

    def complain(self, why: str) -> None:
        """The peer's bytes cannot be served: forget those not started, close when the rest is answered."""
        self.complaint = why
        self.closing = True
        self._forget_waiting()

    def stop(self) -> None:
        """Want no further bytes; what has arrived is answered, then the connection is finished."""
        self.closing = True

    def dismiss(self) -> None:
        """The peer is not let in: what was answered may leave, then the connection is finished."""
        self.closing = True
        self._forget_waiting()

    def abandon(self) -> None:
        """The peer is gone: start and send nothing more."""
        self.closing = self._cut = True
        self._forget_waiting()

    def answered(self, exchange: Exchange, answer: list[Buffer] | None) -> None:
        """The handler is done: `answer` is the whole frame, None sends nothing."""
        exchange.answer = answer or []
        exchange.answer_bytes = sum(map(len, exchange.answer))
        self._answer_bytes += exchange.answer_bytes
        self._ended(exchange)

    def failed(self, exchange: Exchange) -> None:
        """The handler raised: the connection is finished when the answers before it have left."""
        exchange.failed = True
        self._ended(exchange)
        self.closing = True
        self._forget_waiting()

    def outgoing(self) -> list[Buffer]:
        """Buffers that may leave now, in order; to be asked before `start`, for which it makes room."""
        buffers: list[Buffer] = []
        while self._running and not self._cut:
            exchange = self._running[0]
            if exchange.failed:
                self._cut = True
            elif exchange.answer is None:
                break
            else:
                self._running.popleft()
                self._answer_bytes -= exchange.answer_bytes
                buffers += exchange.answer
        return buffers

    def _may_start(self) -> bool:
        limits = self._limits
        return (
            self.writable
            and not self.muted
            and not self._authenticating
            and len(self._running) < limits.max_requests_per_connection
            and (self._running_bytes < limits.max_bytes_per_connection or not self._running)
            and self._answer_bytes < MAX_PENDING_ANSWER_BYTES
            and self._fetches < MAX_FETCHES_PER_CONNECTION
        )

    def _ended(self, exchange: Exchange) -> None:
        self._fetches -= exchange.api_key == API_KEY_FETCH
        if exchange.authenticates:
            self._authenticating = False
        self._running_bytes -= exchange.frame_bytes
        self.bytes_held -= exchange.frame_bytes
        exchange.request = None  # lets go of the frame, whose buffer may then be used again

    def _forget_waiting(self) -> None:
        self.bytes_held -= sum(len(frame) for frame, _ in self._waiting)
        self._waiting.clear()
