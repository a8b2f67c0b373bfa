"""One request and its answer: from a frame to a handler's arguments, and from its message to the frame that answers.

No socket, no order: `connection.py` decides what starts and leaves when.
"""

from dataclasses import dataclass
from typing import Any

from infra.security.authentication import SASL_AUTHENTICATE, SASL_HANDSHAKE, Authentication
from infra.store.port import Buffer
from infra.wire import envelope
from infra.wire.codec import Malformed
from infra.wire.handler import Handler, Registry, RequestContext
from infra.wire.messages import api_versions, fetch

API_KEY_FETCH: int = fetch.API_KEY


class BadRequest(Exception):
    """The frame is not a request that this node serves; Kafka closes the connection for it, and so do we."""


@dataclass(slots=True)
class Exchange:
    """A request under way. `answer` is None until it is answered; an empty one sends nothing."""

    context: RequestContext
    handler: Handler
    request: Any  # the request message; None once it is answered
    correlation_id: int
    answer_version: int
    frame_bytes: int
    answer: list[Buffer] | None = None
    answer_bytes: int = 0
    failed: bool = False

    @property
    def api_key(self) -> int:
        """Which API it asks."""
        return self.context.api_key

    @property
    def authenticates(self) -> bool:
        """Whether what follows it depends on how it ends."""
        return self.context.authentication is not None and self.api_key in (SASL_HANDSHAKE, SASL_AUTHENTICATE)

    def frame_of(self, message: Any) -> list[Buffer]:
        """The whole answer frame; record batches in it are the handler's own buffers."""
        return envelope.encode_response(message, self.context.api_key, self.answer_version, self.correlation_id)


class RequestOpener:
    """Knows what all requests of one connection share, and reads them. `principal` is who authenticated."""

    def __init__(self, registry: Registry, listener: str, peer: str, connection_id: int) -> None:
        self._registry = registry
        self._listener = listener
        self._peer = peer
        self._connection_id = connection_id
        self.principal = "User:ANONYMOUS"
        self.authentication: Authentication | None = None  # where the listener has SASL

    def open(self, frame: memoryview, received_at: float) -> Exchange:
        """Read one frame. Raises `BadRequest` when its API or version is not offered, or its bytes make no sense."""
        if len(frame) < envelope.SHORTEST_HEAD_BYTES:
            raise BadRequest(f"a frame of {len(frame)} bytes has no request header")
        api_key, version, correlation_id = envelope.read_head(frame)
        if self.authentication is not None and (why := self.authentication.refuses(api_key, received_at)):
            raise BadRequest(why)
        handler = self._registry.find(api_key)
        if handler is None:
            raise BadRequest(f"API key {api_key} is not offered")
        if handler.min_version <= version <= handler.max_version:
            try:
                client_id, request = envelope.decode_request(frame, api_key, version)
            except Malformed as error:
                raise BadRequest(str(error)) from error
            answer_version = version
        elif api_key == api_versions.API_KEY:
            # The one API that must be answered in any version: in the format of v0, of which the client knows enough
            # to ask again. What its own version looks like we cannot know.
            client_id, request, answer_version = None, api_versions.ApiVersionsRequest(), 0
        else:
            raise BadRequest(f"API {api_key} is not offered in v{version}")
        context = RequestContext(
            api_key=api_key,
            api_version=version,
            client_id=client_id,
            listener=self._listener,
            peer=self._peer,
            connection_id=self._connection_id,
            received_at=received_at,
            principal=self.principal,
            authentication=self.authentication,
        )
        return Exchange(context, handler, request, correlation_id, answer_version, len(frame))
