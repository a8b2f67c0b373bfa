"""TLS contexts of listeners and of clients, from PEM files (KIP-651) or PEM texts.

Knows Kafka's settings as values; which listener they are of, and when files are looked at again, is decided elsewhere.
"""

import contextlib
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
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
        paths = self.keystore_location, self.key_location, self.truststore_location
        return tuple(_stamp(path) for path in paths if path)


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


class TlsContext:
    """A context, made again when its files have changed: of whoever looks."""

    def __init__(self, tls: TlsSettings, make: Callable[[TlsSettings], ssl.SSLContext]) -> None:
        """Raises `BadStart`."""
        self._tls = tls
        self._make = make
        self._stamp = tls.stamp()
        self.context = make(tls)

    def look_at_files(self) -> bool:
        """Whether `context` is a new one. Reads files. Files that make no sense change nothing: raises `BadStart`, once
        for each change of theirs."""
        stamp = self._tls.stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self.context = self._make(self._tls)
        return True


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
