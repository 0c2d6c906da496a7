"""A whole configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import MODEL_NAME, NAME, PROVIDER_NAME, TAG_VALUE
from trimaran.config.masking import quote
from trimaran.config.reading import Path, dotted
from trimaran.config.setting import Group, Refused, Setting, Table
from trimaran.config.settings.accounts import AccountConfig, AlertsConfig
from trimaran.config.settings.keys import KeyConfig
from trimaran.config.settings.ledger import LedgerConfig
from trimaran.config.settings.limits import LimitsConfig
from trimaran.config.settings.model import ModelConfig
from trimaran.config.settings.provider import ProviderConfig
from trimaran.config.settings.server import ServerConfig

__all__ = ["Config"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration, checked for shape. Build it with :func:`trimaran.config.load`."""

    limits: Annotated[
        LimitsConfig,
        Setting(
            kind=Group(LimitsConfig, expected="limits", example="limits: {deadline: 2m}"),
            what="Bounds of every request.",
            why="One request must not wait, retry or cost without end.",
            reason="see each of them",
        ),
    ] = LimitsConfig()
    models: Annotated[
        dict[str, ModelConfig],
        Setting(
            kind=Table(
                Group(ModelConfig, expected="a model", example="chat: {targets: [openai/gpt-4o-mini]}"),
                key=MODEL_NAME,
                key_expected="a model's name, or provider/*",
                expected="models by name",
                example="models: {chat: {targets: [openai/gpt-4o-mini]}}",
            ),
            what="The models that clients may ask for; with any of them, nothing else is served.",
            why="Clients name what they need; what answers can change behind the name.",
            reason="what the credentials reach is then served as `openai/*`, `anthropic/*`, … and `auto`",
            default="what the credentials reach",
        ),
    ] = {}
    providers: Annotated[
        dict[str, ProviderConfig],
        Setting(
            kind=Table(
                Group(ProviderConfig, expected="a provider", example="vllm: {base_url: http://127.0.0.1:8000}"),
                key=PROVIDER_NAME,
                key_expected="lower-case letters, digits, - and _",
                expected="providers by name",
                example="providers: {vllm: {base_url: http://127.0.0.1:8000}}",
            ),
            what="Providers that are new, or known ones with something changed.",
            why="Anything that speaks a known dialect can be a target.",
            reason="known providers need only their credential in the environment",
            default="the known ones",
        ),
    ] = {}
    keys: Annotated[
        dict[str, KeyConfig],
        Setting(
            kind=Table(
                Group(KeyConfig, expected="a key", example='team-a: {key: "${TEAM_A_KEY}"}'),
                key=NAME,
                key_expected="letters, digits, '.', - and _",
                expected="client keys by name",
                example='keys: {team-a: {key: "${TEAM_A_KEY}"}}',
            ),
            what="The clients' keys; with any of them, every request needs one.",
            why="Who asks is who pays, and a door that others can reach needs a lock.",
            reason="on a loopback address only this machine can ask",
            default="none; a key called default where TRIMARAN_KEY is set in the environment",
        ),
    ] = {}
    tenants: Annotated[
        dict[str, AccountConfig],
        Setting(
            kind=Table(
                Group(AccountConfig, expected="a tenant", example="acme: {budget: 500 USD/month}"),
                key=NAME,
                key_expected="letters, digits, '.', - and _",
                expected="tenants by name",
                example="tenants: {acme: {budget: 500 USD/month}}",
            ),
            what="What all keys of a tenant may use together. Without keys everybody is the tenant `default`.",
            why="A tenant pays one bill, with however many keys.",
            reason="what is affordable only you know",
            default="no limits",
        ),
    ] = {}
    tags: Annotated[
        dict[str, AccountConfig],
        Setting(
            kind=Table(
                Group(AccountConfig, expected="a tag", example='"cost_center=42": {budget: 500 USD/month}'),
                key=TAG_VALUE,
                key_expected="a tag with its value, such as cost_center=42",
                expected="tags by name and value",
                example='tags: {"cost_center=42": {budget: 500 USD/month}}',
            ),
            what="What all keys with a tag may use together.",
            why="A project or a cost centre has a budget of its own, across tenants and keys.",
            reason="what is affordable only you know",
            default="no limits",
        ),
    ] = {}
    alerts: Annotated[
        AlertsConfig,
        Setting(
            kind=Group(AlertsConfig, expected="alerts", example='alerts: {webhook: "${ALERT_URL}"}'),
            what="Who is told when a budget is being used up.",
            why="A budget that ends by surprise is an outage.",
            reason="see each of them",
        ),
    ] = AlertsConfig()
    server: Annotated[
        ServerConfig,
        Setting(
            kind=Group(ServerConfig, expected="the server's settings", example="server: {port: 4000}"),
            what="How the gateway listens.",
            why="It is the one door.",
            reason="see each of them",
        ),
    ] = ServerConfig()
    ledger: Annotated[
        LedgerConfig,
        Setting(
            kind=Group(LedgerConfig, expected="the ledger's settings", example="ledger: {dir: /var/lib/trimaran}"),
            what="Where attempts are recorded.",
            why="What is not recorded cannot be billed.",
            reason="see each of them",
        ),
    ] = LedgerConfig()
    pools: Annotated[
        None,
        Setting(
            kind=Refused("remove it; a server you already run can be a provider: {base_url: http://...}"),
            what="Replicas of one artifact, deployed or adopted.",
            why="Own capacity is cheaper under steady load.",
            reason="not part of this version",
        ),
    ] = None
    plan: Annotated[
        None,
        Setting(
            kind=Refused("remove it; nothing would act on it"),
            what="The plan that was bought.",
            why="Capacity follows from workload and SLO.",
            reason="not part of this version",
        ),
    ] = None
    origin: str = ""
    """The file it was read from; empty without one."""
    places: dict[Path, str] = {}
    """Where each value that was given stands: ``trimaran.yaml:5``, ``--port``; empty where only its path tells."""
    warnings: tuple[str, ...] = ()
    """What works but is probably not meant. Holds no secret."""

    def where(self, *path: str | int) -> str:
        """``file:line`` of a setting, or of the nearest one above it; its dotted name where there is no file."""
        for end in range(len(path), 0, -1):
            place = self.places.get(path[:end])
            if place:
                return place
        return dotted(path)

    def __repr__(self) -> str:
        return (
            f"Config(origin={self.origin!r}, models={len(self.models)}, providers={len(self.providers)}, "
            f"keys={len(self.keys)}, server={quote(f'{self.server.host}:{self.server.port}')})"
        )
