"""A certificate authority of the tests, and the certificates that it issues."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


class Authority:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("authority of the tests")
        ca = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = self._signed(self._name, self._key, ca, None, (-30, 30))

    def write(self, file: Path) -> Path:
        """The certificate of the authority, as PEM."""
        file.write_bytes(self._certificate.public_bytes(Encoding.PEM))
        return file

    def issue(self, file: Path, name: str, days: tuple[int, int]) -> Path:
        """Key and certificate of the host `name`, valid between two days from now, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        certificate = self._signed(_name(name), key, x509.BasicConstraints(ca=False, path_length=None), names, days)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        return file

    def _signed(
        self,
        subject: x509.Name,
        key: Key,
        constraints: x509.BasicConstraints,
        names: x509.SubjectAlternativeName | None,
        days: tuple[int, int],
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        first, last = (now + datetime.timedelta(days=day) for day in days)
        builder = x509.CertificateBuilder(
            self._name, subject, key.public_key(), x509.random_serial_number(), first, last
        )
        builder = builder.add_extension(constraints, critical=True)
        if names:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
