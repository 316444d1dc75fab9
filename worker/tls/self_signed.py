"""A certificate for this machine that it signs itself, made once and kept.

It vouches for itself only: who trusts it trusts this one key, not an authority that could sign for
other names. Needs the package `cryptography`.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import socket
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = datetime.timedelta(days=397)
"""No longer: some clients refuse certificates of a longer life (CA/Browser Forum, 2020)."""
RENEWED_BEFORE_ITS_END = datetime.timedelta(days=30)
_CLOCK_SKEW = datetime.timedelta(hours=1)

Name = str | ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """Where both lie.

    Attributes:
        certificate: PEM, for clients to trust; readable for everybody.
        key: PEM of key and certificate together, for the server; readable for the owner only.
    """

    certificate: Path
    key: Path


def kept(folder: Path, host: str, now: datetime.datetime | None = None) -> SelfSigned:
    """This machine's certificate in `folder`, made where there is none that will do.

    It names loopback, this machine, `host`, and whatever the one before named. One that ends within
    30 days is renewed.

    Args:
        folder: made if missing, for its owner only.
        host: what the server binds; an address of all interfaces adds nothing.

    Raises:
        OSError: the folder cannot be written.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    files = SelfSigned(folder / "certificate.pem", folder / "key.pem")
    names = _names(host)
    there = _read(files.key)
    if there is None or not names <= _named(there) or _ends_soon(there, now):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names |= set() if there is None else _named(there)
        key, there = _made(names, now)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        # In one file, so that two starts at once cannot leave the one's key beside the other's
        # certificate.
        _replace(files.key, private + _pem(there), 0o600)
    if not files.certificate.is_file() or files.certificate.read_bytes() != _pem(there):
        _replace(files.certificate, _pem(there), 0o644)
    return files


def _names(host: str) -> set[Name]:
    names: set[Name] = {"localhost", ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
    for text in (socket.gethostname(), host):
        try:
            address = ipaddress.ip_address(text.partition("%")[0])  # no zone of IPv6
        except ValueError:
            if text and text.isascii():
                names.add(text.lower())
        else:
            names |= set() if address.is_unspecified else {address}
    return names


def _named(certificate: x509.Certificate) -> set[Name]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = found.get_values_for_type(x509.IPAddress)
    single = {one for one in addresses if isinstance(one, Name)}
    return {*found.get_values_for_type(x509.DNSName), *single}


def _ends_soon(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    end = certificate.not_valid_after_utc - RENEWED_BEFORE_ITS_END
    return not certificate.not_valid_before_utc <= now < end


def _read(path: Path) -> x509.Certificate | None:
    """The certificate in a file with its key; None where one is missing or they do not fit."""
    try:
        data = path.read_bytes()
        key = serialization.load_pem_private_key(data, None)
        certificate = x509.load_pem_x509_certificate(data)
    except (OSError, ValueError, TypeError):
        return None
    fits = certificate.public_key() == key.public_key()
    return certificate if fits else None


def _made(
    names: Collection[Name], now: datetime.datetime
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A P-256 key and its certificate, with all that strict verification asks (RFC 5280)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "framewire worker")])
    said: list[x509.GeneralName] = [
        x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)
        for name in sorted(names, key=str)
    ]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now - _CLOCK_SKEW + LIFE)
        .add_extension(x509.SubjectAlternativeName(said), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(server, critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(issuer_id, critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _replace(path: Path, data: bytes, mode: int) -> None:
    """Write a file as a whole: nobody sees half of one, and but its owner sees it before."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
