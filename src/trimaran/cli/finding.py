"""What ``trimaran doctor`` says about one provider."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from trimaran.errors import ConfigError
from trimaran.providers import Endpoint

__all__ = ["Check", "Finding", "judged"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one provider. ``state`` is one of ``ok``, ``not_configured``, ``rejected``, ``unreachable``,
    ``misconfigured`` and ``unclear``."""

    provider: str
    state: str
    detail: str
    todo: str = ""
    """What to do about it; empty when nothing is."""
    tried: tuple[str, ...] = ()
    """Where a credential was looked for, in order."""
    credential: str = ""
    """Where it was found and how it begins, the rest masked."""
    base_url: str = ""
    elapsed_s: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether requests can be sent there."""
        return self.state == "ok"


class Check(Protocol):
    """One provider being looked at."""

    credential: str
    """What is known of the credential so far, masked."""
    warnings: list[str]

    def run(self) -> tuple[str, str, str]:
        """State, detail and what to do. Raises :class:`~trimaran.errors.ConfigError` for a credential that cannot be had."""


def judged(found: Endpoint, check: Check, fault: Callable[[Exception], tuple[str, tuple[str, str]]]) -> Finding:
    """What ``check`` found out. ``fault`` gives the state, and detail and mend, of what it raised besides."""
    start = time.monotonic()
    try:
        state, detail, todo = check.run()
    except ConfigError as error:
        state, detail, todo = "rejected", error.message, error.hint
    except Exception as error:  # whatever http.client and ssl raise for a broken peer, one finding each
        state, (detail, todo) = fault(error)
    return Finding(
        provider=found.name,
        state=state,
        detail=detail,
        todo=todo,
        tried=found.tried,
        credential=check.credential,
        base_url=found.base_url,
        elapsed_s=time.monotonic() - start,
        warnings=(*found.warnings, *check.warnings),
    )
