"""Whom we call and how we authenticate.

rows      the providers we know, one data row each
resolve   configuration and environment to what is reachable
signing   the header lines that authenticate a request
"""

from __future__ import annotations

from trimaran.providers.resolve import Endpoint, base_url_of, discover, endpoint
from trimaran.providers.rows import ANTHROPIC_VERSION, NOT_YET, PROVIDERS, ProviderRow, output_limit
from trimaran.providers.signing import Signer, clean_secret, default_headers, signer

__all__ = [
    "ANTHROPIC_VERSION",
    "NOT_YET",
    "PROVIDERS",
    "Endpoint",
    "ProviderRow",
    "Signer",
    "base_url_of",
    "clean_secret",
    "default_headers",
    "discover",
    "endpoint",
    "output_limit",
    "signer",
]
