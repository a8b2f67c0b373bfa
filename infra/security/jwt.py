"""JSON Web Tokens (RFC 7519) signed by keys of a JSON Web Key Set (RFC 7517): is this one right, and whose is it?

Without I/O: keys and the time come as arguments. Only signatures by a private key count (RS, PS and ES with SHA-2):
a token that names another algorithm is none. `cryptography` is imported with this file, so it is imported late.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

_HASHES: Mapping[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
_CURVE_OF = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_LEAST_RSA_BITS = 2048

Key = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class BadToken(Exception):
    """The token lets nobody in; the text says why and repeats nothing of it."""


class UnknownKey(BadToken):
    """No key has the token's id: there may be newer ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say. Empty: anything."""

    audiences: tuple[str, ...] = ()  # one of them
    issuer: str = ""
    user_claim: str = "sub"
    skew_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it is, and until when."""

    user: str
    expires_ms: int


def read_keys(text: bytes) -> dict[str, Key]:
    """Key id → key of a JSON Web Key Set; keys of kinds that we do not use are left out. Raises `BadToken`."""
    try:
        rows = json.loads(text)["keys"]
        return {str(row.get("kid", "")): key for row in rows if (key := _key(row)) is not None}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadToken("the key set is not one") from None


def verify(token: str, keys: Mapping[str, Key], expected: Expected, now_ms: int) -> Claims:
    """Raises `BadToken`, `UnknownKey`."""
    signed, dot, signature = token.rpartition(".")
    head, other_dot, body = signed.partition(".")
    if not dot or not other_dot or "." in body:
        raise BadToken("it has not three parts")
    header = _object(head)
    algorithm, key_id = str(header.get("alg", "")), str(header.get("kid", ""))
    if key_id not in keys:
        raise UnknownKey("no key has its key id")
    try:
        _check_signature(algorithm, keys[key_id], signed.encode(), _decoded(signature))
    except (InvalidSignature, ValueError):
        raise BadToken("its signature is not right") from None
    return _claims(_object(body), expected, now_ms)


def _claims(claims: Mapping[str, Any], expected: Expected, now_ms: int) -> Claims:
    now, skew = now_ms / 1000, expected.skew_seconds
    expires, not_before = _moment(claims.get("exp")), _moment(claims.get("nbf", 0))
    if now >= expires + skew:
        raise BadToken("it has expired")
    if now < not_before - skew:
        raise BadToken("it is not valid yet")
    if expected.issuer and claims.get("iss") != expected.issuer:
        raise BadToken("it is of another issuer")
    named = claims.get("aud")
    audiences = named if isinstance(named, list) else [named]
    if expected.audiences and not any(one in expected.audiences for one in audiences):
        raise BadToken("it is for another audience")
    user = claims.get(expected.user_claim)
    if not isinstance(user, str) or not user:
        raise BadToken(f"it has no claim {expected.user_claim}")
    return Claims(user, int(expires * 1000))


def _check_signature(algorithm: str, key: Key, signed: bytes, signature: bytes) -> None:
    kind, digest = algorithm[:2], _HASHES.get(algorithm[2:])
    if digest is None:
        raise BadToken("its algorithm is not taken")
    if kind == "ES" and isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == _CURVE_OF[algorithm]:
        size = (key.curve.key_size + 7) // 8
        if len(signature) != 2 * size:
            raise BadToken("its signature is not right")
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))
    elif kind == "RS" and isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), digest)
    elif kind == "PS" and isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    else:
        raise BadToken("its algorithm is not taken")


def _key(row: Mapping[str, Any]) -> Key | None:
    if row.get("use", "sig") != "sig":
        return None
    if row.get("kty") == "RSA":
        key = rsa.RSAPublicNumbers(_number(row["e"]), _number(row["n"])).public_key()
        return key if key.key_size >= _LEAST_RSA_BITS else None
    if row.get("kty") == "EC" and row.get("crv") in _CURVES:
        return ec.EllipticCurvePublicNumbers(_number(row["x"]), _number(row["y"]), _CURVES[row["crv"]]).public_key()
    return None


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text), "big")


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(_decoded(text))
    except (ValueError, RecursionError):
        raise BadToken("a part of it is not JSON") from None
    if not isinstance(found, dict):
        raise BadToken("a part of it is not a JSON object")
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("a part of it is not base64") from None


def _moment(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise BadToken("it does not say when it expires")
    return float(value)
