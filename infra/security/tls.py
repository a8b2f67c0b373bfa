"""TLS contexts of listeners and of clients, from PEM files (KIP-651) or PEM texts.

Knows Kafka's settings as values; which listener they are of, and when files are looked at again, is decided elsewhere.
"""

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.errors import BadStart

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH = {"none": ssl.CERT_NONE, "requested": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """What a TLS context is made of; names as Kafka's settings of `ssl.`. Empty texts: not given."""

    keystore_location: str = ""
    keystore_key: str = ""  # PEM, like the two below
    keystore_chain: str = ""
    key_location: str = ""  # where the key is not in the file of the certificate
    key_password: str = ""
    truststore_location: str = ""
    truststore_certificates: str = ""
    client_auth: str = "none"
    protocols: tuple[str, ...] = ("TLSv1.2", "TLSv1.3")
    identify: bool = True  # whether a client compares the server's certificate with its address

    def __repr__(self) -> str:
        return f"TlsSettings({self.keystore_location or '…'})"

    @property
    def has_identity(self) -> bool:
        """Whether there is a certificate to show."""
        return bool(self.keystore_location or self.keystore_chain)

    @property
    def trusts(self) -> bool:
        """Whether authorities are named."""
        return bool(self.truststore_location or self.truststore_certificates)

    def stamp(self) -> tuple[object, ...]:
        """Another value when a file has changed."""
        return tuple(_stamp(path) for path in (self.keystore_location, self.truststore_location) if path)


def server_context(tls: TlsSettings) -> ssl.SSLContext:
    """For the accepting side. Raises `BadStart` that says which setting to mend."""
    if not tls.has_identity:
        raise BadStart("TLS needs a certificate: set ssl.keystore.location to a PEM file with its key and chain")
    if tls.client_auth != "none" and not tls.trusts:
        raise BadStart(
            f"ssl.client.auth={tls.client_auth} needs ssl.truststore.location: a PEM file of the authorities that "
            "certificates of clients come from"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _complete(context, tls)
    context.verify_mode = _CLIENT_AUTH[tls.client_auth]
    return context


def client_context(tls: TlsSettings) -> ssl.SSLContext:
    """For the connecting side; without authorities of its own it trusts the system's. Raises `BadStart`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.identify
    _complete(context, tls)
    if not tls.trusts:
        context.load_default_certs()
    return context


class ClientTls:
    """The context of the connecting side, made again when its files have changed: look at it for each connection."""

    def __init__(self, tls: TlsSettings) -> None:
        """Raises `BadStart`."""
        self._tls = tls
        self._stamp = tls.stamp()
        self._context = client_context(tls)

    def context(self) -> ssl.SSLContext:
        """As the files say now, or said last when they say nothing that makes sense."""
        stamp = self._tls.stamp()
        if stamp != self._stamp:
            with contextlib.suppress(BadStart):
                self._context = client_context(self._tls)
                self._stamp = stamp
        return self._context


def _complete(context: ssl.SSLContext, tls: TlsSettings) -> None:
    versions = [_VERSIONS[name] for name in tls.protocols]
    context.minimum_version, context.maximum_version = min(versions), max(versions)
    if tls.has_identity:
        _load_identity(context, tls)
    if tls.trusts:
        _load_authorities(context, tls)


def _load_identity(context: ssl.SSLContext, tls: TlsSettings) -> None:
    where = tls.keystore_location or "ssl.keystore.certificate.chain"
    try:
        with _file_of(tls) as path:
            # A password is given always: without one OpenSSL asks for it at the terminal.
            context.load_cert_chain(path, tls.key_location or None, password=tls.key_password)
    except ssl.SSLError as error:
        reason = _words(error)
        raise BadStart(
            f"{where} is not a PEM file of a private key and its certificate with the chain, or ssl.key.password is "
            f"not the key's: {reason}"
        ) from None
    except OSError as error:
        raise BadStart(f"{where} cannot be read: {error.strerror}") from None


def _load_authorities(context: ssl.SSLContext, tls: TlsSettings) -> None:
    where = tls.truststore_location or "ssl.truststore.certificates"
    try:
        context.load_verify_locations(
            cafile=tls.truststore_location or None, cadata=tls.truststore_certificates or None
        )
    except (ssl.SSLError, ValueError) as error:
        raise BadStart(f"{where} is not a PEM file of certificates: {_words(error)}") from None
    except OSError as error:
        raise BadStart(f"{where} cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def _file_of(tls: TlsSettings) -> Iterator[str]:
    """OpenSSL reads keys from files only: a key that came as a text stands in a private one for a moment."""
    if tls.keystore_location:
        yield tls.keystore_location
        return
    handle, path = tempfile.mkstemp(suffix=".pem")  # readable by its owner alone
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{tls.keystore_key}\n{tls.keystore_chain}\n")
        yield path
    finally:
        Path(path).unlink()


def _words(error: Exception) -> str:
    return (error.reason or str(error)) if isinstance(error, ssl.SSLError) else str(error)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
