"""What the wire tells those who count: metrics hang in here, and the wire knows nothing of them."""


class WireObserver:
    """Told of connections and requests as they happen; this one ignores it all. Called on the hot path: be quick."""

    def on_connection(self, change: int) -> None:
        """+1 when a connection was accepted, -1 when it is gone."""

    def on_connection_refused(self) -> None:
        """A connection beyond a limit was closed at once."""

    def on_request(self, api_key: int, version: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """A handler is done; `seconds` count from the whole frame to the answer, bytes include the frame prefix."""

    def on_bad_frame(self) -> None:
        """Bytes that are no request, or a request for what is not offered, cost their connection."""

    def on_authentication_failed(self) -> None:
        """A client did not prove who it is, or not in time, which costs its connection."""

    def on_handler_error(self, api_key: int, version: int) -> None:
        """A handler raised, which costs its connection."""
