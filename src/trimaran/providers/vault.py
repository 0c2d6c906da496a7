"""The credentials in force, by name: what signers read on the road and whoever renews them writes.

One for each process, older than any snapshot: a reload must not forget what was fetched. Nothing here does I/O.
"""

from __future__ import annotations

from trimaran.types import Credential

__all__ = ["Vault"]


class Vault:
    """Credentials by the name that targets give in :attr:`~trimaran.types.Target.credential`."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, Credential] = {}

    def get(self, name: str) -> Credential | None:
        """The newest one, also when it has expired; ``None`` before there was any."""
        return self._held.get(name)

    def put(self, name: str, credential: Credential) -> None:
        """From now on requests are signed with this one."""
        self._held[name] = credential

    def __repr__(self) -> str:
        return f"Vault({', '.join(self._held)})"
