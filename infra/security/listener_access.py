"""Whom one listener lets in: its TLS context, and who a client is by the certificate that it showed.

One for each listener that is not PLAINTEXT. Knows no socket; the wire asks it once a connection.
"""

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.errors import BadStart
from infra.security.authentication import Authentication
from infra.security.mechanisms import MakeServer
from infra.security.principal import ANONYMOUS, PrincipalRules, distinguished_name, principal_of
from infra.security.tls import TlsContext, TlsSettings, server_context

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaslOffer:
    """How clients of a listener prove who they are."""

    mechanisms: Mapping[str, MakeServer]
    max_lifetime_seconds: float = 0.0  # 0: for ever
    max_frame_bytes: int = 512 * 1024  # until then


class ListenerAccess:
    """Of one listener."""

    def __init__(
        self,
        name: str,
        *,
        tls: TlsSettings | None = None,
        rules: PrincipalRules | None = None,
        sasl: SaslOffer | None = None,
    ) -> None:
        """Raises `BadStart` when there can be no such TLS context."""
        self._sasl = sasl
        self._name = name
        self._tls = None if tls is None else TlsContext(tls, self._make)
        self._rules = rules or PrincipalRules("")

    @property
    def context(self) -> ssl.SSLContext | None:
        """What new connections are accepted with; None without TLS."""
        return None if self._tls is None else self._tls.context

    def look_at_files(self) -> bool:
        """Make `context` again when a file of it has changed; whether it is a new one. Files that make no sense are
        told of in the log once, and change nothing. Reads files."""
        try:
            renewed = self._tls is not None and self._tls.look_at_files()
        except BadStart as error:
            _log.warning("%s; connections go on with the certificate of before", error.message)
            return False
        if renewed:
            _log.info("listener %s: the certificate files were read again", self._name)
        return renewed

    @property
    def max_frame_bytes(self) -> int:
        """Of clients that have not authenticated yet."""
        return 0 if self._sasl is None else self._sasl.max_frame_bytes

    def authentication(self) -> Authentication | None:
        """For a new connection; None where there is no SASL."""
        sasl = self._sasl
        return None if sasl is None else Authentication(sasl.mechanisms, sasl.max_lifetime_seconds)

    def principal(self, certificate: Mapping[str, Any] | None) -> str | None:
        """Who shows this certificate (as `SSLSocket.getpeercert` tells it); None when no mapping rule knows it.

        With SASL a certificate is asked for or not, and says nothing of who this is."""
        if not certificate or self._sasl is not None:
            return ANONYMOUS
        user = self._rules.user(distinguished_name(certificate))
        return None if user is None else principal_of(user)

    def _make(self, tls: TlsSettings) -> ssl.SSLContext:
        try:
            return server_context(tls)
        except BadStart as error:
            raise BadStart(f"listener {self._name}: {error.message}") from None
