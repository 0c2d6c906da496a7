"""Credentials that are renewed by somebody else, as the road sees them: put into the vault when they come, asked for when a
target refuses the one in use.

A target that says that its credential has expired is not broken: a new one is asked for, and until it has come the
condition of everything that uses it is ``pending``. Requests go elsewhere or wait, and the one that was refused tries again.
Only when a new credential has not come, or is the same again, is the refusal what it seems to be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trimaran.errors import AttemptError, CredentialRejected
from trimaran.providers import Vault
from trimaran.routing import Condition, Replaced, State, learn
from trimaran.types import Credential, Snapshot

if TYPE_CHECKING:
    from trimaran.dispatch.attempt import Attempt

__all__ = ["Renewals"]

PATIENCE_S = 10.0
"""How long a new credential is waited for. A role is assumed within a second; what takes longer has failed, and its reason
comes as a condition."""
USELESS_S = 30.0
"""After a renewal that brought nothing new, refusals count as such for so long."""

FETCHING = "credentials are being fetched"
REFUSED = "the target refused the credential; a new one is being fetched"


class Renewals:
    """The credentials of one worker or library. ``ask`` has one renewed, by its name; its answer comes later."""

    __slots__ = ("_ask", "_asked", "_came", "_names", "_state", "_told", "_useless", "_vault")

    def __init__(self, vault: Vault, state: State, ask: Callable[[str], None]) -> None:
        self._vault = vault
        self._state = state
        self._ask = ask
        self._names: frozenset[str] = frozenset()
        self._asked: dict[str, float] = {}
        """Since when a new one is waited for."""
        self._came: dict[str, float] = {}
        """When the one in use came."""
        self._useless: dict[str, float] = {}
        """Until when asking for another one is of no use."""
        self._told: dict[str, Condition] = {}
        """What was last told of each, by its key."""

    def apply(self, snapshot: Snapshot, now: float) -> None:
        """These are renewed from now on."""
        self._names = frozenset(snapshot.identities)
        for name in self._names:
            key = f"credential:{name}"
            if self._vault.get(name) is None and key not in self._told:
                learn(self._state, Condition(key, "pending", FETCHING), now)

    def refused(self, attempt: Attempt, error: AttemptError, now: float) -> bool:
        """Whether this refusal of our credential may be over soon, or is over already: try again where it came from."""
        name = attempt.runtime.target.credential
        if name not in self._names or not isinstance(error, CredentialRejected) or not _stale(error):
            return False
        if attempt.started_s < self._came.get(name, 0.0) or name in self._asked:
            return True
        if now < self._useless.get(name, 0.0):
            return False
        self._asked[name] = now
        learn(self._state, Condition(f"credential:{name}", "pending", REFUSED), now)
        self._ask(name)
        return True

    def on_credential(self, name: str, credential: Credential, now: float) -> None:
        """A credential has come: a new one, or the same when there is no other."""
        asked = self._asked.pop(name, None)
        if credential != self._vault.get(name):
            self._vault.put(name, credential)
            self._came[name] = now
            learn(self._state, Replaced(f"credential:{name}"), now)
            self._useless.pop(name, None)
        elif asked is not None:
            self._useless[name] = now + USELESS_S
        self._settle(f"credential:{name}", now)

    def on_condition(self, condition: Condition, now: float) -> None:
        """What is known now of a target, or of a credential."""
        self._told[condition.key] = condition
        if condition.level != "up":
            self._asked.pop(condition.key.removeprefix("credential:"), None)
        elif not condition.key.startswith("credential:"):
            del self._told[condition.key]
        if condition.key.removeprefix("credential:") not in self._asked:
            learn(self._state, condition, now)

    def tick(self, now: float) -> None:
        """Stop waiting for what does not come."""
        for name, since in tuple(self._asked.items()):
            if now >= since + PATIENCE_S:
                del self._asked[name]
                self._useless[name] = now + USELESS_S
                self._settle(f"credential:{name}", now)

    def _settle(self, key: str, now: float) -> None:
        """Nothing is waited for any more: what was told holds."""
        learn(self._state, self._told.get(key) or Condition(key, "up"), now)


def _stale(error: CredentialRejected) -> bool:
    """Whether another credential may help: the provider's word says so, or else the status."""
    return error.stale or (error.upstream_status == 401 and not error.lasting)
