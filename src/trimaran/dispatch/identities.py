"""Who may ask and how much they may use: configured and stored keys, and the budgets of keys, tenants and tags.

A key is bound by its own allowances, by its tenant's and by those of each of its tags. Those who need no key are the tenant
``default``. Keys that ``trimaran keys`` made are known to nobody but their store, so what is wrong with one of them must not
keep a configuration from being used: it becomes a warning, unless it would be unclear who pays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from trimaran.config import (
    CLIENT_KEY_VARIABLE,
    AccountConfig,
    Budget,
    Config,
    KeyConfig,
    dotted,
    is_loopback,
    parse_budget,
    quote,
)
from trimaran.errors import ConfigError
from trimaran.ledger.keys import KeyRow
from trimaran.types import DEFAULT_TENANT, Allowance, KeyRecord, Snapshot

__all__ = ["Identities", "identities", "refuse_exposure"]


class Identities(msgspec.Struct, frozen=True):
    """What a snapshot knows of who asks."""

    keys: tuple[KeyRecord, ...]
    allowances: tuple[Allowance, ...]
    anonymous_allowances: tuple[str, ...]
    require_key: bool
    problems: tuple[ConfigError, ...]
    warnings: tuple[str, ...]


def identities(config: Config, stored: Sequence[KeyRow] = ()) -> Identities:
    """Keys and allowances of a configuration and of the keys that ``trimaran keys`` made (all of them, revoked ones too).

    With any key, configured or ever made, every request needs one: revoking the last one does not open the door.
    """
    return _Builder(config, stored).build()


def refuse_exposure(config: Config, snapshot: Snapshot) -> None:
    """Raise :class:`ConfigError` when others can reach the gateway and need no key for it."""
    if snapshot.require_key or is_loopback(config.server.host):
        return
    where = config.where("server", "host")
    raise ConfigError(
        "others could use this address, and there is no key",
        where=where if where == "server.host" else f"{where}: server.host",
        hint=f"write keys, make one with 'trimaran keys create NAME', or set {CLIENT_KEY_VARIABLE} to the key that clients "
        "must send; or listen on 127.0.0.1",
    )


class _Builder:
    def __init__(self, config: Config, stored: Sequence[KeyRow]) -> None:
        self._config = config
        self._stored = stored
        self._allowances: dict[str, Allowance] = {}
        self._problems: list[ConfigError] = []
        self._warnings: list[str] = []

    def build(self) -> Identities:
        config = self._config
        tenants = {name: self._of("tenant", name, each) for name, each in config.tenants.items()}
        tags = {name: self._of("tag", name, each) for name, each in config.tags.items()}
        records = []
        for record, own in (*self._configured(), *self._kept()):
            bound = [*own, *tenants.get(record.tenant, ())]
            for tag in map("=".join, record.tags):
                bound += tags.get(tag, ())
            records.append(msgspec.structs.replace(record, allowances=tuple(bound)))
        required = bool(config.keys or self._stored)
        self._unused(records, required)
        return Identities(
            tuple(records),
            tuple(self._allowances.values()),
            tuple(tenants.get(DEFAULT_TENANT, ())),
            required,
            tuple(self._problems),
            tuple(self._warnings),
        )

    def _configured(self) -> Iterator[tuple[KeyRecord, list[str]]]:
        for name, key in self._config.keys.items():
            record = KeyRecord(name, key.digest, key.tenant, _pairs(key.tags), key.models, key.expires_ns)
            yield record, self._of("key", name, key)

    def _kept(self) -> Iterator[tuple[KeyRecord, list[str]]]:
        """Stored keys that may still be used, or whose end is worth a word to who uses them."""
        digests = {key.digest: name for name, key in self._config.keys.items()}
        for row in self._stored:
            if row.revoked_ns is not None:
                continue
            same = digests.get(row.digest, row.name if row.name in self._config.keys else "")
            if same:
                self._twice(same, row)
                continue
            record = KeyRecord(row.name, row.digest, row.tenant, _pairs(row.tags), row.models, row.ends_ns)
            yield record, self._ids("key", row.name, self._stored_budgets(row))

    def _twice(self, name: str, row: KeyRow) -> None:
        where = self._config.where("keys", name)
        message = f"{dotted(('keys', name))}: the key {row.name} ({row.prefix}…) stands in the store of keys, too"
        hint = f"give it another name, or revoke the stored one: trimaran keys revoke {row.name}"
        if message not in [each.message for each in self._problems]:
            self._problems.append(ConfigError(message, where=where, hint=hint))

    def _stored_budgets(self, row: KeyRow) -> list[Budget]:
        found = _per_minute(row.rpm, row.tpm)
        for text in row.budget:
            try:
                found.append(parse_budget(text))
            except ValueError as error:
                # Serving without a budget that somebody relies on is the one thing that must not happen.
                self._problems.append(ConfigError(f"the budget of the stored key {row.name}: expected {error}"))
        return found

    def _of(self, scope: str, name: str, account: KeyConfig | AccountConfig) -> list[str]:
        return self._ids(scope, name, [*_per_minute(account.rpm, account.tpm), *account.budget])

    def _ids(self, scope: str, name: str, budgets: Sequence[Budget]) -> list[str]:
        """Make the allowances; their ids."""
        made = [
            Allowance(f"{scope}:{name}:{each.unit}/{each.period}", scope, name, each.unit, each.limit, each.period)
            for each in budgets
        ]
        self._allowances |= {each.id: each for each in made}
        return [each.id for each in made]

    def _unused(self, records: Sequence[KeyRecord], required: bool) -> None:
        tenants = {record.tenant for record in records} | (set() if required else {DEFAULT_TENANT})
        tags = {tag for record in records for tag in map("=".join, record.tags)}
        tables: tuple[tuple[str, str, Mapping[str, AccountConfig], Callable[[str], bool]], ...] = (
            ("tenants", "tenant", self._config.tenants, tenants.__contains__),
            ("tags", "tag", self._config.tags, tags.__contains__),
        )
        for table, what, accounts, known in tables:
            for name in accounts:
                if not known(name):
                    path = (table, name)
                    where = self._config.where(*path)
                    place = "" if where == dotted(path) else f"{where}: "
                    self._warnings.append(f"{place}{dotted(path)} binds nobody: no key has the {what} {quote(name)}")


def _per_minute(rpm: int | None, tpm: int | None) -> list[Budget]:
    limits = (("requests", rpm), ("tokens", tpm))
    return [Budget(unit, limit, "minute") for unit, limit in limits if limit is not None]


def _pairs(tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(tags.items()))
