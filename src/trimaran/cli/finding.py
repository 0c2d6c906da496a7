"""What ``trimaran doctor`` says about one provider."""

from __future__ import annotations

import msgspec

__all__ = ["Finding"]


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
