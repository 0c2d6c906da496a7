"""A URL that the gateway posts to. It may hold a token in its path or query, so it is a secret in every message.

Services that hand out credentials to whoever runs on a machine listen on link-local addresses. Nothing is ever sent there,
in whatever way the address is written.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from trimaran.config.setting import Scalar
from trimaran.types import Secret

__all__ = ["WEBHOOK"]

_EXPECTED = "an http:// or https:// URL without user name and fragment"

_METADATA_NAMES = frozenset(
    {"instance-data", "instance-data.ec2.internal", "metadata", "metadata.goog", "metadata.google.internal"}
)
_METADATA_ADDRESSES = frozenset(map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")))
"""Of clouds that do not use a link-local one: Alibaba, Azure's wire server, Oracle, AWS over IPv6."""


def _parse(text: str) -> Secret:
    if not text.isascii() or not text.isprintable() or any(c in text for c in " \\\"'<>#"):
        raise ValueError(_EXPECTED)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # Its message repeats the text.
        raise ValueError(_EXPECTED) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or port == 0:
        raise ValueError(_EXPECTED)
    if _hands_out_credentials(parts.hostname):
        raise ValueError("an address that is not link-local and no cloud's metadata service")
    return Secret(text)


def _hands_out_credentials(host: str) -> bool:
    address = _address(host.rstrip("."))
    if address is None:
        return host.rstrip(".").lower() in _METADATA_NAMES
    return address.is_link_local or address in _METADATA_ADDRESSES


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(host)
    except ValueError:
        # Also the forms that only the C library reads: 2852039166, 0xa9fea9fe, 169.254.43518.
        import socket

        try:
            return IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


WEBHOOK = Scalar(
    _parse,
    expected=_EXPECTED,
    example='"${ALERT_URL}"',
    schema={"type": "string", "pattern": "^https?://"},
    show=lambda _: "***",
    files=True,
)
