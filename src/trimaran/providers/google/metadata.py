"""What Google tells its own machines of themselves: tokens of the account that a machine, a pod or a service of Cloud Run runs as.

The metadata service speaks plain HTTP on the machine's own link. It is asked without google-auth, because it needs nothing that
google-auth has, and with short limits: everywhere else there is nobody at that address.

Source: cloud.google.com, "View and query VM metadata" and "Authenticate to Google Cloud APIs from GKE workloads"; google-auth 2.63.0,
``google.auth.compute_engine._metadata``; read 2026-11-30.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from urllib.parse import quote, urlencode

__all__ = ["MetadataRefused", "Nowhere", "access_token", "account", "identity_token"]

_HOST = "metadata.google.internal"
_ADDRESS = "169.254.169.254"
_CONNECT_S = 1.5
"""Google's own machines answer within a millisecond; elsewhere the address leads nowhere."""
_READ_S = 8.0
_ACCOUNTS = "/computeMetadata/v1/instance/service-accounts/default/"
_MOST_BYTES = 65_536


class Nowhere(Exception):
    """There is no metadata service here."""


class MetadataRefused(Exception):
    """It answered with something else than what was asked for. ``text`` is one line of its own words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def access_token(scope: str, environ: Mapping[str, str]) -> tuple[str, float]:
    """A token and the seconds for which it is good. Raises :class:`Nowhere`, :class:`MetadataRefused`."""
    told = _get(f"{_ACCOUNTS}token?{urlencode({'scopes': scope})}", environ)
    try:
        answer = json.loads(told)
        return str(answer["access_token"]), float(answer["expires_in"])
    except (ValueError, KeyError, TypeError):
        raise MetadataRefused(200, "the answer holds no access token") from None


def identity_token(audience: str, environ: Mapping[str, str]) -> str:
    """An identity token for an audience. Raises as :func:`access_token` does."""
    return _get(f"{_ACCOUNTS}identity?{urlencode({'audience': audience, 'format': 'full'}, quote_via=quote)}", environ)


def account(environ: Mapping[str, str]) -> str:
    """The e-mail address of the account; empty where it is not told."""
    try:
        return _get(f"{_ACCOUNTS}email", environ)
    except (MetadataRefused, Nowhere):
        return ""


def _get(path: str, environ: Mapping[str, str]) -> str:
    # GCE_METADATA_ROOT is google-auth's older name.
    place = environ.get("GCE_METADATA_HOST") or environ.get("GCE_METADATA_ROOT") or _HOST
    host, _, port = place.partition(":")
    connection = http.client.HTTPConnection(host, int(port) if port.isdecimal() else 80, timeout=_CONNECT_S)
    try:
        try:
            connection.connect()
        except socket.gaierror:
            # The name is missing from some machines' resolvers; the address is the same everywhere.
            if place != _HOST:
                raise
            connection = http.client.HTTPConnection(_ADDRESS, timeout=_CONNECT_S)
            connection.connect()
        connection.sock.settimeout(_READ_S)
        connection.request("GET", path, headers={"Metadata-Flavor": "Google"})
        response = connection.getresponse()
        text = response.read(_MOST_BYTES).decode("utf-8", "replace").strip()
        ours = response.getheader("Metadata-Flavor") == "Google"
    except (OSError, http.client.HTTPException) as error:
        raise Nowhere(f"no metadata service at {place}") from error
    finally:
        connection.close()
    if not ours and response.status != 200:
        # Somebody else's: another cloud has a service at the same address.
        raise Nowhere(f"{place} is not Google's metadata service")
    if response.status != 200:
        raise MetadataRefused(response.status, " ".join(text.split())[:300])
    return text
