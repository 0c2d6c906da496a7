"""From a snapshot to what is looked after off the road: a source for each identity, one line for each cloud that has a chain of
its own, and what watches the states of endpoints."""

from __future__ import annotations

from collections.abc import Callable

from trimaran.providers.agenda import Source, Watch
from trimaran.providers.aws import access as aws
from trimaran.providers.aws.sagemaker_watch import sagemaker_watches
from trimaran.providers.azure import access as azure
from trimaran.providers.google import access as google
from trimaran.types import Identity, Snapshot

__all__ = ["SOURCES", "sources_of", "watches_of", "words_of"]

SOURCES: dict[str, Callable[[Identity, str], Source]] = {
    aws.KIND: aws.source,
    azure.KIND: azure.source,
    google.KIND: google.source,
}
"""By :attr:`~trimaran.types.Identity.kind`. Each is called with the identity and its secret words, or an empty text."""


def words_of(name: str) -> str:
    """Under which name in :attr:`~trimaran.types.Snapshot.secrets` the secret words of a credential's identity stand."""
    return f"{name} (identity)"


def sources_of(snapshot: Snapshot) -> dict[str, Source]:
    """By the credential's name: what fetches it. Sources are equal where identity and words are."""
    return {
        name: SOURCES[identity.kind](identity, snapshot.secrets.get(words_of(name), ""))
        for name, identity in snapshot.identities.items()
    }


def watches_of(snapshot: Snapshot) -> list[Watch]:
    """What finds out, now and then, whether the endpoints of a snapshot can answer."""
    return [*sagemaker_watches(snapshot)]
