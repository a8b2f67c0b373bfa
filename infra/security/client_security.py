"""How our own client proves itself to a node: TLS of each connection, and the messages of SASL by password."""

import contextlib
import ssl
from collections.abc import Generator
from pathlib import Path

from infra.errors import BadStart
from infra.security.client_properties import ClientProperties, read_properties
from infra.security.scram import ScramClient, fresh_nonce
from infra.security.tls import TlsContext, client_context

Messages = Generator[bytes, bytes, None]
"""Yields what to send, is sent what was answered; ends when the server has proven itself too."""


class ClientSecurity:
    """Of one client: the same for all its connections."""

    def __init__(self, properties: ClientProperties) -> None:
        """Raises `BadStart` when a file cannot be used."""
        self._properties = properties
        self._tls = None if properties.tls is None else TlsContext(properties.tls, client_context)

    def context(self) -> ssl.SSLContext | None:
        """For a new connection, as the files say now, or said last when they make no sense; None: plain text."""
        if self._tls is None:
            return None
        with contextlib.suppress(BadStart):
            self._tls.look_at_files()
        return self._tls.context

    @property
    def mechanism(self) -> str:
        """Of SASL; empty without."""
        return self._properties.mechanism

    def messages(self) -> Messages:
        """A new exchange. Raises `ScramRefused` where the server's answers make no sense."""
        user, password = self._properties.user, self._properties.password
        if self.mechanism == "PLAIN":
            yield f"\0{user}\0{password}".encode()
            return
        client = ScramClient(self.mechanism, user, password, fresh_nonce())
        answer = yield client.first()
        answer = yield client.final(answer)
        client.verify(answer)


def security_from(command_config: str | Path | None) -> ClientSecurity | None:
    """What a file of client properties says; None without a file: plain text. Raises `BadStart`."""
    return None if command_config is None else ClientSecurity(read_properties(Path(command_config)))
