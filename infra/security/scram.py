"""SCRAM (RFC 5802, RFC 7677) of both sides, without I/O: credentials, and the messages of one exchange.

A node keeps what proves a password, never the password. Who does not exist is answered as if he did, up to the proof.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

MIN_ITERATIONS, MAX_ITERATIONS = 4096, 16384  # Kafka's bounds: each login costs so many hashes

_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_CLIENT_FIRST = re.compile(r"(n|y|p=[^,]*),(?:a=([^,]*))?,(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+))((?:,[^,]*)*)")
_CLIENT_FINAL = re.compile(r"(c=([^,]*),r=([^,]*)(?:,[^,]*)*),p=([^,]*)")
_SERVER_FIRST = re.compile(r"r=([^,]*),s=([^,]*),i=([0-9]{1,7})(?:,.*)?")
_NONCE_BYTES = 24
_MAX_MESSAGE_BYTES = 4096  # a name, a nonce and an extension or two

MECHANISMS = tuple(_HASHES)


def fresh_nonce() -> str:
    """Of one side, for one exchange."""
    return secrets.token_urlsafe(_NONCE_BYTES)


class ScramRefused(Exception):
    """The exchange is over; the text is for the log and, as far as it says nothing of users, for the client."""


@dataclass(frozen=True, slots=True)
class ScramCredential:
    """What proves one user's password to one mechanism. Its `repr` shows nothing."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int

    def __repr__(self) -> str:
        return "ScramCredential(…)"

    @classmethod
    def of_password(cls, mechanism: str, password: str, salt: bytes, iterations: int = MIN_ITERATIONS) -> Self:
        """Computes for milliseconds."""
        return cls.of_salted(mechanism, salted_password(mechanism, password, salt, iterations), salt, iterations)

    @classmethod
    def of_salted(cls, mechanism: str, salted: bytes, salt: bytes, iterations: int) -> Self:
        """From the salted password, as KIP-554 sends it."""
        stored = hashlib.new(_HASHES[mechanism], _hmac(mechanism, salted, b"Client Key")).digest()
        return cls(salt, stored, _hmac(mechanism, salted, b"Server Key"), iterations)

    def encode(self) -> str:
        """As Kafka's own stores write it."""
        parts = {"salt": self.salt, "stored_key": self.stored_key, "server_key": self.server_key}
        words = [f"{name}={base64.b64encode(part).decode()}" for name, part in parts.items()]
        return ",".join([*words, f"iterations={self.iterations}"])

    @classmethod
    def decode(cls, text: str) -> Self:
        """The reverse. Raises `ValueError`."""
        words = dict(word.split("=", 1) for word in text.split(","))
        try:
            salt, stored_key, server_key = (
                base64.b64decode(words[name], validate=True) for name in ("salt", "stored_key", "server_key")
            )
            return cls(salt, stored_key, server_key, int(words["iterations"]))
        except KeyError as missing:
            raise ValueError(f"a SCRAM credential without {missing}") from None

    def proves(self, mechanism: str, password: str) -> bool:
        """Whether this is the password. Computes for milliseconds."""
        other = ScramCredential.of_password(mechanism, password, self.salt, self.iterations)
        return hmac.compare_digest(self.stored_key, other.stored_key)


def salted_password(mechanism: str, password: str, salt: bytes, iterations: int) -> bytes:
    """Computes for milliseconds. Passwords are taken as they are, in UTF-8, as Kafka takes them."""
    return hashlib.pbkdf2_hmac(_HASHES[mechanism], password.encode(), salt, iterations)


class ScramServer:
    """The server's side of one exchange: `first` answers the client's first message, `final` its second."""

    def __init__(
        self,
        mechanism: str,
        credential_of: Callable[[str], ScramCredential | None],
        nonce: str,
        pretended: Callable[[str], ScramCredential],
    ) -> None:
        """`nonce`: fresh for each exchange. `pretended`: what unknown users are asked by, the same each time."""
        self._mechanism = mechanism
        self._credential_of = credential_of
        self._pretended = pretended
        self._nonce = nonce
        self._credential: ScramCredential
        self._known = False
        self._messages = ""
        self._header = ""
        self.user = ""

    def first(self, message: bytes) -> bytes:
        """Salt and iterations. Raises `ScramRefused`."""
        text = _text(message)
        found = _CLIENT_FIRST.fullmatch(text)
        if found is None:
            raise ScramRefused("the first message is none of SCRAM")
        binding, authorization_id, bare, name, client_nonce, extensions = found.groups()
        if binding.startswith("p"):
            raise ScramRefused("channel binding is not offered")
        self.user = _name(name)
        if authorization_id is not None and _name(authorization_id) != self.user:
            raise ScramRefused("the authorization id is not the user")
        if "tokenauth=true" in extensions.split(","):
            raise ScramRefused("delegation tokens are not offered")
        found_credential = self._credential_of(self.user)
        self._known = found_credential is not None
        self._credential = found_credential or self._pretended(self.user)
        self._nonce = client_nonce + self._nonce
        self._header = text[: found.start(3)]
        salt = base64.b64encode(self._credential.salt).decode()
        answer = f"r={self._nonce},s={salt},i={self._credential.iterations}"
        self._messages = f"{bare}{extensions},{answer}"
        return answer.encode()

    def final(self, message: bytes) -> bytes:
        """The proof of the server, once the client's is right. Raises `ScramRefused`."""
        found = _CLIENT_FINAL.fullmatch(_text(message))
        if found is None:
            raise ScramRefused("the second message is none of SCRAM")
        without_proof, binding, nonce, proof = found.groups()
        if _decoded(binding) != self._header.encode() or nonce != self._nonce:
            raise ScramRefused("the second message does not belong to the first")
        signed = f"{self._messages},{without_proof}".encode()
        key = _xor(_decoded(proof), _hmac(self._mechanism, self._credential.stored_key, signed))
        right = hmac.compare_digest(hashlib.new(_HASHES[self._mechanism], key).digest(), self._credential.stored_key)
        if not (right and self._known):
            raise ScramRefused("no such user, or another password")
        signature = _hmac(self._mechanism, self._credential.server_key, signed)
        return b"v=" + base64.b64encode(signature)


class ScramClient:
    """The client's side of one exchange: `first`, `final` with the server's answer, then `verify`."""

    def __init__(self, mechanism: str, user: str, password: str, nonce: str) -> None:
        self._mechanism = mechanism
        self._password = password
        self._nonce = nonce
        self._bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._signature = b""

    def first(self) -> bytes:
        """The first message."""
        return f"n,,{self._bare}".encode()

    def final(self, message: bytes) -> bytes:
        """The second message, with the proof. Raises `ScramRefused` when the server makes no sense."""
        found = _SERVER_FIRST.fullmatch(_text(message))
        if found is None or not found[1].startswith(self._nonce) or int(found[3]) > 1_000_000:
            raise ScramRefused("the server's first message is none of SCRAM")
        salt, iterations = _decoded(found[2]), int(found[3])
        if iterations < MIN_ITERATIONS:
            raise ScramRefused(f"the server asks for {iterations} iterations only: the password could be guessed")
        salted = salted_password(self._mechanism, self._password, salt, iterations)
        client_key = _hmac(self._mechanism, salted, b"Client Key")
        credential = ScramCredential.of_salted(self._mechanism, salted, salt, iterations)
        without_proof = f"c=biws,r={found[1]}"
        signed = f"{self._bare},{message.decode()},{without_proof}".encode()
        proof = _xor(client_key, _hmac(self._mechanism, credential.stored_key, signed))
        self._signature = _hmac(self._mechanism, credential.server_key, signed)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, message: bytes) -> None:
        """Raise `ScramRefused` unless the server knows the password too."""
        if message != b"v=" + base64.b64encode(self._signature):
            raise ScramRefused("the server does not know the password: it is not who it says")


def _hmac(mechanism: str, key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, _HASHES[mechanism])


def _xor(one: bytes, other: bytes) -> bytes:
    if len(one) != len(other):
        raise ScramRefused("a proof of another length")
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _text(message: bytes) -> str:
    if len(message) > _MAX_MESSAGE_BYTES:
        raise ScramRefused("a message that is too long")
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise ScramRefused("a message that is not UTF-8") from None


def _name(text: str) -> str:
    if re.search("=(?!2C|3D)", text):
        raise ScramRefused("a name with a bad escape")
    return text.replace("=2C", ",").replace("=3D", "=")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ScramRefused("a value that is not base64") from None
