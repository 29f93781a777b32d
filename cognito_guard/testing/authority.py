"""
A certificate authority that nobody trusts unless told to, and the certificates of servers on the loopback interface.

Made once per process, since nothing about them is secret or differs between tests.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from .faults import Fault

_BEGIN, _PAST, _FAR = datetime(2000, 1, 1), datetime(2001, 1, 1), datetime(2100, 1, 1)
_LOOPBACK = ("localhost", "127.0.0.1")
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """
    Hold the certificates of servers, and what makes their clients trust them.

    Attributes:
        ca_pem: the authority's certificate, for clients that shall trust it.
        sound: what a server needs to show a certificate that is right.
        faulty: what it needs to show one that is not.
    """

    ca_pem: bytes
    sound: ssl.SSLContext
    faulty: Mapping[Fault | None, ssl.SSLContext]

    def context(self, fault: Fault | None) -> ssl.SSLContext:
        """Return what a server needs to show the certificate that a fault comes with."""
        return self.faulty.get(fault, self.sound)


@cache
def identities() -> Identities:
    """Return the certificates of this process."""
    known, unknown = Authority(), Authority()
    return Identities(
        ca_pem=known.pem,
        sound=known.context(*_LOOPBACK),
        faulty={
            Fault.OTHER_HOST: known.context("elsewhere.test"),
            Fault.UNKNOWN_AUTHORITY: unknown.context(*_LOOPBACK),
            Fault.EXPIRED_CERTIFICATE: known.context(*_LOOPBACK, ends=_PAST),
        },
    )


class Authority:
    """
    Sign the certificates of servers.

    Attributes:
        pem: its own certificate, for clients that shall trust it.
    """

    def __init__(self) -> None:
        self._key = generate_private_key(SECP256R1())
        name = _name("A fake certificate authority")
        self._certificate = (
            _builder(name, name, self._key, _FAR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .sign(self._key, SHA256())
        )
        self.pem: bytes = self._certificate.public_bytes(Encoding.PEM)

    def context(self, *hosts: str, ends: datetime = _FAR) -> ssl.SSLContext:
        """
        Return what a server needs to show a certificate of this authority.

        Args:
            hosts: the names and addresses that it is for.
            ends: when it expires, in UTC.
        """
        key = generate_private_key(SECP256R1())
        certificate = (
            _builder(_name("A fake key endpoint"), self._certificate.subject, key, ends)
            .add_extension(x509.SubjectAlternativeName(map(_alternative_name, hosts)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # `ssl` takes a certificate from a file and from nowhere else.
        with TemporaryDirectory() as directory:
            file = Path(directory, "server.pem")
            file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
            context.load_cert_chain(file)
        return context


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
