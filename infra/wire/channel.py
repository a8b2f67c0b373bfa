"""One accepted socket: carries bytes between asyncio and a `Connection`, which decides everything.

Requests are decoded and their handlers become tasks in the order of arrival; asyncio starts tasks in the order in
which they were made, so two produces of one connection reach the log as they were sent.
"""

import asyncio
import logging
from typing import cast

from infra.errors import CauceError
from infra.security.authentication import Authentication
from infra.security.listener_access import ListenerAccess
from infra.store.port import Buffer
from infra.wire.brake import Brake
from infra.wire.connection import Connection
from infra.wire.exchange import API_KEY_FETCH, Exchange, RequestOpener
from infra.wire.frame import FrameReceiver
from infra.wire.traffic import Traffic

_log = logging.getLogger(__name__)


class Channel(asyncio.BufferedProtocol):
    """The asyncio side of one connection; it stands in `channels` from accept to the end of the socket."""

    def __init__(
        self, traffic: Traffic, listener: str, channels: set["Channel"], access: ListenerAccess | None = None
    ) -> None:
        self._traffic = traffic
        self._access = access
        self._listener = listener
        self._channels = channels
        self._transport: asyncio.Transport | None = None
        self._connection: Connection
        self._opener: RequestOpener
        throttle = traffic.throttle
        self._brake = None if throttle is None else Brake(throttle, traffic.clock, self._advance)
        self._receiver: FrameReceiver
        self._host = ""
        self._loop = asyncio.get_running_loop()
        self._given_up: set[asyncio.Task[None]] = set()  # when the peer goes
        self._deadline: asyncio.TimerHandle | None = None  # of authentication
        self._reading = True
        self._waits_for_room = False
        self._request_bytes = 0  # as last told to the traffic
        self._partial_bytes = 0
        self.gone: asyncio.Future[None] = self._loop.create_future()  # done when the socket is closed
        self._active_at = 0.0  # seconds, monotonic: last frame, or last time that answers could leave

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        traffic = self._traffic
        peer = transport.get_extra_info("peername")
        self._host = str(peer[0]) if isinstance(peer, tuple) else ""
        self._receiver = FrameReceiver(traffic.pool, traffic.receive_buffer, traffic.limits.max_frame_bytes)
        number = traffic.enter(self._host)
        if number is None:
            _log.debug("refused a connection from %s: too many connections", self._host)
            traffic.observer.on_connection_refused()
            transport.abort()
            return
        self._opener = opener = RequestOpener(traffic.registry, self._listener, self._host, number)
        self._connection = self._connect(opener)
        if self._access is not None:
            self._begin_access(self._access, opener, transport)
        self._active_at = traffic.clock.monotonic()
        transport.set_write_buffer_limits(high=traffic.limits.write_high_bytes)
        self._transport = transport
        self._channels.add(self)
        traffic.observer.on_connection(+1)
        if self._connection.finished:
            self._close(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        self._transport = None
        self._connection.abandon()
        if self._brake is not None:
            self._brake.release()
        self._tell_traffic(partial_bytes=0)
        for task in self._given_up:  # only what changes nothing: the rest runs to its end
            task.cancel()
        if self._deadline is not None:
            self._deadline.cancel()
        self._channels.discard(self)
        self._traffic.leave(self._host)
        self._traffic.observer.on_connection(-1)
        self.gone.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._receiver.target()

    def buffer_updated(self, nbytes: int) -> None:
        if self._transport is None:
            return
        frames = self._receiver.received(nbytes)
        if frames or self._receiver.failure:
            self._active_at = self._traffic.clock.monotonic()
            self._connection.frames_received(frames, self._active_at, self._receiver.failure)
        self._advance()

    def pause_writing(self) -> None:
        self._connection.writable = False

    def resume_writing(self) -> None:
        self._connection.writable = True
        self._active_at = self._traffic.clock.monotonic()
        self._advance()

    def stop(self) -> None:
        """Read no more, answer what has arrived, then close."""
        self._connection.stop()
        if self._brake is not None:
            self._brake.release()
        self._advance()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def is_idle_since(self, moment: float) -> bool:
        """Nothing was asked since then and nothing is under way, or the peer has not read its answers since then."""
        connection = self._connection
        return self._active_at < moment and (connection.idle or connection.finished or not connection.writable)

    def _begin_access(self, access: ListenerAccess, opener: RequestOpener, transport: asyncio.Transport) -> None:
        """Who this is, as far as that is known before the first byte."""
        principal = access.principal(transport.get_extra_info("peercert"))
        if principal is None:
            self._connection.complain("no rule of ssl.principal.mapping.rules knows its certificate's name")
        else:
            opener.principal = principal
        opener.authentication = access.authentication()
        if opener.authentication is not None:
            self._receiver.allow(access.max_frame_bytes)
            self._deadline = self._loop.call_later(self._traffic.limits.authentication_seconds, self._too_late)

    def _authenticated(self, authentication: Authentication) -> None:
        """A step of it has ended."""
        if self._deadline is not None and (authentication.complete or authentication.failed):
            self._deadline.cancel()
            self._deadline = None
        if authentication.complete:
            self._opener.principal = authentication.principal
            self._receiver.allow(self._traffic.limits.max_frame_bytes)
        elif authentication.failed:
            self._traffic.observer.on_authentication_failed()
            self._connection.dismiss()

    def _too_late(self) -> None:
        self._deadline = None
        _log.info("closed the connection from %s: it did not authenticate in time", self._host)
        self._traffic.observer.on_authentication_failed()
        self.abort()

    def _connect(self, opener: RequestOpener) -> Connection:
        limits = self._traffic.limits
        if self._brake is None:
            return Connection(opener, limits)
        connection = Connection(opener, limits, self._brake.charge)
        self._brake.on(connection)
        return connection

    def _advance(self) -> None:
        """Do what the connection now allows: send answers, start handlers, read on or not, close."""
        connection, transport = self._connection, self._transport
        if transport is None:
            self._tell_traffic(partial_bytes=0)
            return
        buffers = connection.outgoing()
        if buffers and not transport.is_closing():  # the peer may have gone while its answer was made
            self._write(transport, buffers)
        for exchange in connection.start():
            self._keep(self._loop.create_task(self._run(exchange)), exchange)
        if not self._tell_traffic(self._receiver.partial_bytes):
            connection.complain("too many bytes of incomplete requests on this node")
        if connection.finished:
            self._close(transport)
        else:
            self._read_or_pause(transport)

    def _write(self, transport: asyncio.Transport, buffers: list[Buffer]) -> None:
        high = self._traffic.limits.write_high_bytes
        transport.writelines(buffers)
        if self._connection.writable and transport.get_write_buffer_size() > high:
            # Some releases of asyncio (CVE-2024-12254) do not pause the protocol in writelines; setting limits does.
            transport.set_write_buffer_limits(high=high)

    def _keep(self, task: asyncio.Task[None], exchange: Exchange) -> None:
        self._traffic.tasks.add(task)
        task.add_done_callback(self._traffic.tasks.discard)
        if exchange.api_key == API_KEY_FETCH or exchange.authenticates:
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)

    def _tell_traffic(self, partial_bytes: int) -> bool:
        """Report how many bytes this connection holds; False when the node has no room for them."""
        change = self._connection.bytes_held - self._request_bytes
        partial_change = partial_bytes - self._partial_bytes
        self._request_bytes += change
        self._partial_bytes = partial_bytes
        if change:
            self._traffic.hold_request_bytes(change)
        return not partial_change or self._traffic.hold_partial_bytes(partial_change)

    def _read_or_pause(self, transport: asyncio.Transport) -> None:
        wanted = self._connection.wants_bytes
        if wanted and self._traffic.full:
            wanted = False
            if not self._waits_for_room:
                self._waits_for_room = True
                self._traffic.when_not_full(self._room_again)
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()

    def _room_again(self) -> None:
        self._waits_for_room = False
        if self._transport is not None:
            self._loop.call_soon(self._advance)

    def _close(self, transport: asyncio.Transport) -> None:
        if transport.is_closing():  # to close TLS twice would be to lose hold of it: abort would do nothing
            return
        complaint = self._connection.complaint
        if complaint is not None:
            _log.debug("closed the connection from %s: %s", self._host, complaint)
            self._traffic.observer.on_bad_frame()
        if not self._reading:  # else TLS does not see that the peer has gone, and waits for it
            self._reading = True
            transport.resume_reading()
        transport.close()

    async def _run(self, exchange: Exchange) -> None:
        context = exchange.context
        answer: list[Buffer] | None = None
        failed = True
        try:
            if self._brake is None or not self._brake.active:
                message = await exchange.handler.handle(context, exchange.request)
            else:
                message = await self._brake.handle(exchange)
            answer = None if message is None else exchange.frame_of(message)
            failed = False
        except CauceError as error:
            _log.warning("API %d v%d ended its connection: %s", context.api_key, context.api_version, error)
        except Exception:  # noqa: BLE001 - any mistake of a handler costs its connection and must cost nothing else
            _log.exception("API %d v%d ended its connection", context.api_key, context.api_version)
        finally:
            self._ended(exchange, answer, failed)

    def _ended(self, exchange: Exchange, answer: list[Buffer] | None, failed: bool) -> None:
        context, observer = exchange.context, self._traffic.observer
        if failed:
            self._connection.failed(exchange)
            if self._transport is not None:  # otherwise the peer had left, and its reads were given up
                observer.on_handler_error(context.api_key, context.api_version)
        else:
            self._connection.answered(exchange, answer)
            if context.authentication is not None and exchange.authenticates:
                self._authenticated(context.authentication)
            seconds = self._traffic.clock.monotonic() - context.received_at
            observer.on_request(
                context.api_key, context.api_version, seconds, exchange.frame_bytes + 4, exchange.answer_bytes
            )
        self._advance()
