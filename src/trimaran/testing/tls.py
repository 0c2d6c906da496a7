"""A second, encrypted port of a simulated provider, for clients that take no address without ``https``.

Azure's SDKs are such clients: their authorities, and what they send tokens to. The certificate is made on the spot and signed by
itself; a client is told to trust it (``REQUESTS_CA_BUNDLE``, ``SSL_CERT_FILE``, ``verify=``) and nobody else does. A certificate needs
``cryptography``, which the SDKs of both Azure and Google bring.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from trimaran.testing.connection import Connection
from trimaran.testing.provider import SimulatedProvider

__all__ = ["Encrypted", "encrypted", "self_signed"]

_START_S = 10.0
_LIFE = timedelta(days=1)


class Encrypted(NamedTuple):
    """Where the port is, and whom to trust."""

    url: str
    """``https://localhost:port``."""
    ca_file: Path
    """PEM of the certificate."""


@contextmanager
def encrypted(provider: SimulatedProvider, folder: Path) -> Iterator[Encrypted]:
    """Open it on the loop of a provider that runs :meth:`~trimaran.testing.SimulatedProvider.in_thread`, or on another thread's.
    ``folder`` gets certificate and key."""
    loop = provider.loop
    certificate, key = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def listen() -> asyncio.Server:
        return await loop.create_server(lambda: Connection(provider), provider.host, 0, ssl=context)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(_START_S)
    try:
        yield Encrypted(f"https://localhost:{server.sockets[0].getsockname()[1]}", certificate)
    finally:
        loop.call_soon_threadsafe(server.close)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine's loopback, good for a day, and its key. Returns both files."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        raise RuntimeError("a certificate needs `pip install 'trimaran[azure]'`") from error
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated by trimaran")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFE)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "simulated.pem", folder / "simulated-key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].touch(mode=0o600)
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
