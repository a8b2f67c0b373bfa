"""One connection of our own client: versions agreed at the start, requests pipelined, answers matched by number."""

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple, cast

from infra.error_code import ErrorCode
from infra.errors import CauceError, Unavailable
from infra.limits import RECEIVE_BUFFER_BYTES
from infra.security.client_security import ClientSecurity
from infra.security.scram import ScramRefused
from infra.wire import envelope
from infra.wire.apis import api_key_of, request_table
from infra.wire.buffer_pool import BufferPool
from infra.wire.codec import Malformed
from infra.wire.frame import FrameReceiver
from infra.wire.messages.api_versions import ApiVersionsRequest
from infra.wire.messages.produce import ProduceRequest
from infra.wire.messages.sasl_authenticate import SaslAuthenticateRequest
from infra.wire.messages.sasl_handshake import SaslHandshakeRequest

_AGAIN_AFTER = 0.85  # of the time that an authentication holds, as Kafka's clients do it
_OUR_API_VERSIONS = 3  # v4 differs only in feature levels, which this client does not look at


class Address(NamedTuple):
    """Where a node listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How a client connects; the same for all its connections."""

    client_id: str
    timeout_seconds: float
    max_frame_bytes: int
    security: ClientSecurity | None = None  # None: plain text, and nobody to be


class _Pending(NamedTuple):
    answer: asyncio.Future[memoryview]
    sent: str  # name of the request, for messages


class ClientConnection(asyncio.BufferedProtocol):
    """Open it with `open_connection`. `call` may be used by many tasks at once."""

    def __init__(self, address: Address, options: ClientOptions, pool: BufferPool) -> None:
        self.address = address
        self._options = options
        self._receiver = FrameReceiver(pool, memoryview(bytearray(RECEIVE_BUFFER_BYTES)), options.max_frame_bytes)
        self._transport: asyncio.Transport | None = None
        self._pending: dict[int, _Pending] = {}
        self._last_number = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._versions: dict[int, tuple[int, int]] = {}
        self._authenticate_at: float | None = None  # the next time, by the loop's clock
        self._authenticating = asyncio.Lock()
        self.closed = False

    async def call(self, request: Any, version: int | None = None) -> Any:
        """Send a request and wait for its answer, None when it has none (Produce with acks=0).

        The version is the highest that both sides know, unless given. Raises `Unavailable`; the outcome is then unknown
        if the request has been sent.
        """
        if self._authenticate_at is not None:
            await self._authenticate_again(self._authenticate_at)
        return await self._call(request, version)

    async def _call(self, request: Any, version: int | None = None) -> Any:
        api_key = api_key_of(type(request))
        if version is None:
            version = self._agreed_version(api_key)
        await self._writable.wait()
        transport = self._transport
        if transport is None or self.closed:
            raise Unavailable(f"{self.address} closed the connection")
        self._last_number = number = (self._last_number + 1) & 0x7FFFFFFF
        frame = envelope.encode_request(request, version, number, self._options.client_id)
        if isinstance(request, ProduceRequest) and request.acks == 0:
            transport.writelines(frame)
            return None
        answer: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()
        self._pending[number] = _Pending(answer, type(request).__name__)
        try:
            transport.writelines(frame)
            body = await answer
        finally:
            self._pending.pop(number, None)
        try:
            return envelope.decode_response(body, api_key, version)
        except Malformed as error:
            self.close()
            raise Unavailable(f"{self.address} answered {type(request).__name__} with bytes that are none") from error

    async def negotiate(self) -> None:
        """Learn which versions the node offers."""
        request = ApiVersionsRequest(client_software_name="cauce", client_software_version=_our_version())
        response = await self._call(request, _OUR_API_VERSIONS)
        if response.error_code == ErrorCode.UNSUPPORTED_VERSION:
            response = await self._call(request, 0)
        if response.error_code != ErrorCode.NONE:
            raise Unavailable(f"{self.address} refused ApiVersions with error {response.error_code}")
        self._versions = {api.api_key: (api.min_version, api.max_version) for api in response.api_keys}

    async def authenticate(self) -> None:
        """Prove who we are, where we have to be somebody. Raises `NotLetIn`."""
        security = self._options.security
        if security is None or not security.mechanism:
            return
        handshake = await self._call(SaslHandshakeRequest(mechanism=security.mechanism))
        if handshake.error_code != ErrorCode.NONE:
            offered = f"it offers {', '.join(handshake.mechanisms)}" if handshake.mechanisms else "it has no SASL there"
            raise NotLetIn(f"{self.address} does not take the SASL mechanism {security.mechanism}; {offered}")
        lifetime_ms = 0
        messages = security.messages()
        try:
            token = next(messages)
            while True:
                response = await self._call(SaslAuthenticateRequest(auth_bytes=token))
                if response.error_code != ErrorCode.NONE:
                    raise NotLetIn(f"{self.address} did not let us in: {response.error_message}")
                lifetime_ms = response.session_lifetime_ms
                token = messages.send(bytes(response.auth_bytes))
        except StopIteration:
            pass
        except ScramRefused as refused:
            raise NotLetIn(f"{self.address}: {refused}") from None
        now = asyncio.get_running_loop().time()
        self._authenticate_at = now + lifetime_ms / 1000 * _AGAIN_AFTER if lifetime_ms > 0 else None

    async def _authenticate_again(self, due: float) -> None:
        """Before the time is over that the last one holds for; who wants to ask meanwhile waits."""
        if asyncio.get_running_loop().time() < due:
            return
        async with self._authenticating:
            if self._authenticate_at == due:
                await self.authenticate()

    def close(self) -> None:
        """Close at once; calls under way raise `Unavailable`."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._transport = None
        self._writable.set()
        for number, pending in self._pending.items():
            if not pending.answer.done():
                pending.answer.set_exception(
                    Unavailable(f"{self.address} closed the connection before it answered {pending.sent} {number}")
                )

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._receiver.target()

    def buffer_updated(self, nbytes: int) -> None:
        for frame in self._receiver.received(nbytes):
            pending = self._pending.get(envelope.correlation_id(frame)) if len(frame) >= 4 else None
            if pending is not None and not pending.answer.done():  # else its caller waits no longer
                pending.answer.set_result(frame)
        if self._receiver.failure:
            self.close()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _agreed_version(self, api_key: int) -> int:
        known = request_table(api_key).versions
        offered = self._versions.get(api_key)
        if offered is None:
            raise UnsupportedVersion(f"{self.address} does not offer API {api_key}")
        version = min(known.last, offered[1])
        if version < max(known.first, offered[0]):
            raise UnsupportedVersion(
                f"{self.address} offers API {api_key} in v{offered[0]} to v{offered[1]}, we know v{known}"
            )
        return version


@cache
def _our_version() -> str:
    try:
        return metadata.version("cauce")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "0"


class NotLetIn(Unavailable):
    """The node does not take who we say we are."""

    code = ErrorCode.SASL_AUTHENTICATION_FAILED


class UnsupportedVersion(CauceError):
    """The node does not offer this API in any version that we know."""

    code = ErrorCode.UNSUPPORTED_VERSION


async def open_connection(address: Address, options: ClientOptions, pool: BufferPool) -> ClientConnection:
    """Connect and agree on versions. Raises `Unavailable`."""
    loop = asyncio.get_running_loop()
    connection = ClientConnection(address, options, pool)
    try:
        async with asyncio.timeout(options.timeout_seconds):
            context = None if options.security is None else options.security.context()
            await loop.create_connection(lambda: connection, address.host, address.port, ssl=context)
            await connection.negotiate()
            await connection.authenticate()
    except (OSError, TimeoutError) as error:
        connection.close()
        raise Unavailable(f"{address} cannot be reached: {_why(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _why(error: OSError | TimeoutError) -> str:
    """In words: asyncio's own repeat the address in the form of Python."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not taken: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if error.errno and error.errno > 0 and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return error.strerror or str(error) or "it does not answer"
