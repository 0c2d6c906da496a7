"""A certificate authority and one server certificate, made for the run and gone with it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Certificates", "make_certificates"]


@dataclass(frozen=True)
class Certificates:
    """PEM files: ``authority`` is what clients trust (``SSL_CERT_FILE``), the others are the upstream's."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path) -> Certificates | None:
    """Make them with the ``openssl`` binary; None where there is none, and then TLS is not measured.

    An authority of its own, because rustls refuses a self-signed certificate as a server's. Valid for 127.0.0.1 and
    for ``localhost``: nginx checks names only, never addresses.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    extensions = directory / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n")
    authority = ["-keyout", "ca-key.pem", "-out", "ca.pem"]
    signing = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-set_serial", "1", "-extfile", str(extensions)]
    for arguments in (
        ["req", "-x509", *curve, "-days", "2", "-subj", "/CN=bench authority", *authority],
        ["req", "-new", *curve, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem"],
        ["x509", "-req", "-in", "request.pem", "-days", "2", *signing, "-out", "certificate.pem"],
    ):
        subprocess.run([openssl, *arguments], cwd=directory, check=True, capture_output=True)
    return Certificates(directory / "ca.pem", directory / "certificate.pem", directory / "key.pem")
