"""An issuer of a test's own: a key set as a file, and tokens signed by its keys."""

import base64
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def encoded(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer:
    """Has one key of each kind, named "rsa" and "ec"."""

    def __init__(self) -> None:
        self._rsa = rsa.generate_private_key(65537, 2048)
        self._ec = ec.generate_private_key(ec.SECP256R1())

    def key_set(self) -> bytes:
        rsa_key, ec_key = self._rsa.public_key().public_numbers(), self._ec.public_key().public_numbers()
        rows = [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": _number(rsa_key.n), "e": _number(rsa_key.e)},
            {"kty": "EC", "kid": "ec", "crv": "P-256", "x": _number(ec_key.x), "y": _number(ec_key.y)},
            {"kty": "oct", "kid": "hmac", "k": encoded(b"secret")},
        ]
        return json.dumps({"keys": rows}).encode()

    def write(self, path: Path) -> str:
        """The key set as a file; its URL."""
        path.write_bytes(self.key_set())
        return path.as_uri()

    def token(self, claims: dict[str, Any], algorithm: str = "RS256", kid: str | None = None) -> str:
        name = "ec" if algorithm == "ES256" else "rsa"
        signed = f"{encoded({'alg': algorithm, 'kid': kid or name})}.{encoded(claims)}"
        return f"{signed}.{encoded(self._sign(algorithm, signed.encode()))}"

    def _sign(self, algorithm: str, signed: bytes) -> bytes:
        if algorithm == "ES256":
            r, s = decode_dss_signature(self._ec.sign(signed, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if algorithm == "PS256":
            return self._rsa.sign(signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return self._rsa.sign(signed, padding.PKCS1v15(), hashes.SHA256())
