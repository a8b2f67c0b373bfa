"""A certificate authority of a test's own: PEM files as Kafka's settings want them."""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.clock import SYSTEM_CLOCK

_DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates for an address and localhost, and for clients by their name."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Cauce tests {name}")])
        self._certificate = self._sign(self._name, self._key.public_key(), [], is_authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(self._certificate))

    def issue(self, file: str, *, user: str = "node", password: str = "", address: str = "127.0.0.1") -> Path:
        """A PEM file of key and chain; `user` is the common name, `address` an IPv4 one."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "ES"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Cauce, tests"),
                x509.NameAttribute(NameOID.COMMON_NAME, user),
            ]
        )
        names: Sequence[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.IPv4Address(address)),
        ]
        certificate = self._sign(name, key.public_key(), names, is_authority=False)
        path = self._folder / file
        path.write_bytes(_key_pem(key, password) + _pem(certificate) + _pem(self._certificate))
        return path

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, names: Sequence[x509.GeneralName], *, is_authority: bool
    ) -> x509.Certificate:
        now = datetime.datetime.fromtimestamp(SYSTEM_CLOCK.now_ms() / 1000, datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )
        if names:
            usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey, password: str) -> bytes:
    encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
