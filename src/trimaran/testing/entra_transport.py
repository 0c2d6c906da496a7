"""Transports for Azure's SDKs that bring every request to a simulated provider, whatever address it was meant for.

``azure-identity`` takes no authority without ``https``, and asks ``login.microsoftonline.com`` which authorities there are. With one of
these as ``transport=`` it needs no option and no environment variable, and nothing leaves the machine::

    credential = ClientSecretCredential(TENANT, client_id, secret, transport=entra_transport(provider.base_url))
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["async_entra_transport", "entra_transport", "rerouted"]

_MISSING = "the Azure SDK's transports need `pip install 'trimaran[azure]'`"


def rerouted(url: str, base_url: str) -> str:
    """The same path and query at ``base_url``."""
    base = urlsplit(base_url)
    return urlunsplit(urlsplit(url)._replace(scheme=base.scheme, netloc=base.netloc))


def entra_transport(base_url: str, **options: Any) -> Any:
    """An ``azure.core`` transport; ``options`` as for its ``RequestsTransport``."""
    try:
        from azure.core.pipeline.transport import RequestsTransport
    except ImportError as error:
        raise RuntimeError(_MISSING) from error

    class Rerouting(RequestsTransport):  # type: ignore[misc]
        def send(self, request: Any, **further: Any) -> Any:
            request.url = rerouted(request.url, base_url)
            return super().send(request, **further)

    return Rerouting(**options)


def async_entra_transport(base_url: str, **options: Any) -> Any:
    """The same for ``azure.identity.aio``; ``options`` as for ``AsyncioRequestsTransport``."""
    try:
        from azure.core.pipeline.transport import AsyncioRequestsTransport
    except ImportError as error:
        raise RuntimeError(_MISSING) from error

    class Rerouting(AsyncioRequestsTransport):  # type: ignore[misc]
        async def send(self, request: Any, **further: Any) -> Any:
            request.url = rerouted(request.url, base_url)
            return await super().send(request, **further)

    return Rerouting(**options)
