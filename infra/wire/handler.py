"""What a handler of one Kafka API is, and the registry that ApiVersions is derived from."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from infra.security.authentication import Authentication


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Who asks, over what: everything a handler may know besides the request itself."""

    api_key: int
    api_version: int
    client_id: str | None
    listener: str  # name of the listener the connection came in through
    peer: str  # "host" of the client
    connection_id: int
    received_at: float = 0.0  # seconds, monotonic, when the frame was complete
    principal: str = "User:ANONYMOUS"
    authentication: Authentication | None = None  # of the connection, where its listener has SASL


class Handler(ABC):
    """One Kafka API. Subclasses name their request class (from infra.wire.messages) and the versions they serve whole.

    `handle` answers the response message, or None to send nothing (Produce with acks=0 only). A `CauceError` that
    escapes, or any other exception, closes the connection: handlers put Kafka's error codes in their responses.
    """

    api_key: ClassVar[int]
    min_version: ClassVar[int]
    max_version: ClassVar[int]
    advertised_min: ClassVar[int | None] = None  # when ApiVersions must say less than is served (Produce)

    @abstractmethod
    async def handle(self, context: RequestContext, request: Any) -> Any:
        """Answer one request."""


class Registry:
    """The handlers that exist, by API key."""

    def __init__(self, handlers: Iterable[Handler] = ()) -> None:
        self._handlers: dict[int, Handler] = {}
        for handler in handlers:
            self.add(handler)

    def add(self, handler: Handler) -> None:
        """Offer one more API; a second handler for a key is a mistake."""
        if handler.api_key in self._handlers:
            raise ValueError(f"two handlers for API key {handler.api_key}")
        self._handlers[handler.api_key] = handler

    def find(self, api_key: int) -> Handler | None:
        """The handler of an API key, None when it is not offered."""
        return self._handlers.get(api_key)

    def __iter__(self) -> Iterator[Handler]:
        return iter(sorted(self._handlers.values(), key=lambda handler: handler.api_key))
