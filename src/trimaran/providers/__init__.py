"""Whom we call and how we authenticate.

rows      the providers we know, one data row each
resolve   configuration and environment to what is reachable
signing   the header lines that authenticate a request
vault     the credentials in force that are renewed
sources   what fetches those, off the road
upkeep    when that is done, and what else is looked at in the background
doors     how a target is asked in one of its dialects
kinds     what a kind of provider knows of its own targets
clouds    whom a provider acts as where no key authenticates it
"""

from __future__ import annotations

from trimaran.providers.door import Door, Unwrapper
from trimaran.providers.doors import DOORS, door_of
from trimaran.providers.kinds import Kind, kind_of, problems_of
from trimaran.providers.resolve import Endpoint, base_url_of, discover, endpoint
from trimaran.providers.rows import ANTHROPIC_VERSION, NOT_YET, PROVIDERS, ProviderRow, output_limit
from trimaran.providers.signers import signer
from trimaran.providers.signing import Signer, clean_secret, default_headers
from trimaran.providers.sources import sources_of, watches_of, words_of
from trimaran.providers.upkeep import Source, Upkeep, Watch
from trimaran.providers.vault import Vault

__all__ = [
    "ANTHROPIC_VERSION",
    "DOORS",
    "NOT_YET",
    "PROVIDERS",
    "Door",
    "Endpoint",
    "Kind",
    "ProviderRow",
    "Signer",
    "Source",
    "Unwrapper",
    "Upkeep",
    "Vault",
    "Watch",
    "base_url_of",
    "clean_secret",
    "default_headers",
    "discover",
    "door_of",
    "endpoint",
    "kind_of",
    "output_limit",
    "problems_of",
    "signer",
    "sources_of",
    "watches_of",
    "words_of",
]
