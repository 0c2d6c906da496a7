"""What no single setting can decide: settings that contradict each other, and values computed from others.

Runs once every setting by itself is right. Finds all problems, like the reader before it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Mapping

import msgspec

from trimaran.config.masking import closest
from trimaran.config.reading import Path, dotted
from trimaran.config.settings import (
    AccountConfig,
    CapabilitiesConfig,
    Config,
    KeyConfig,
    ModelConfig,
    ProviderConfig,
    ServerConfig,
)
from trimaran.config.settings.capacity import HourlyConfig
from trimaran.errors import ConfigError
from trimaran.types import Secret

__all__ = ["CLIENT_KEY_VARIABLE", "Checker", "is_loopback"]

CLIENT_KEY_VARIABLE = "TRIMARAN_KEY"
"""Without configured keys, the key that clients must send. So a container needs no file to be reachable."""

_SHORTEST_KEY = 16

# Framing and connection headers are the gateway's own business; a second one of them breaks the message.
_RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "anthropic-version",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NAMED_CONTAINERS = ("vllm", "lmi", "tgi", "neuron")
"""Of SageMaker: those whose bodies name a model."""
_CREDENTIAL_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address. Names other than ``localhost`` could be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Checker:
    """Checks and completes one configuration."""

    def __init__(self, config: Config, origin: str, environ: Mapping[str, str], places: dict[Path, str]) -> None:
        self.problems: list[ConfigError] = []
        self.warnings: list[str] = []
        self._environ = environ
        self._config = msgspec.structs.replace(config, origin=origin, places=places)

    def finish(self) -> Config:
        """The completed configuration; only usable when :attr:`problems` is empty."""
        self._models()
        self._providers()
        self._accounts()
        return msgspec.structs.replace(
            self._config,
            keys=self._keys(),
            server=self._server(),
            ledger=msgspec.structs.replace(self._config.ledger, dir=self._ledger_folder()),
        )

    def _problem(self, path: Path, message: str, hint: str) -> None:
        where = self._config.where(*path)
        name = dotted(path)
        self.problems.append(ConfigError(message if where == name else f"{name}: {message}", where=where, hint=hint))

    def _models(self) -> None:
        for name, model in self._config.models.items():
            path: Path = ("models", name)
            open_targets = [target for target in model.targets if target.endswith("/*")]
            if name.endswith("/*"):
                if len(model.targets) != 1 or not open_targets:
                    self._problem(
                        path, "a model for any name needs exactly one target for any name", "targets: [openai/*]"
                    )
                if model.limits != self._config.limits or model.slo:
                    self._problem(
                        path, "a model for any name cannot have limits or an SLO of its own", "set them in limits"
                    )
                if model.weights:
                    self._problem((*path, "weights"), "a model for any name has one target", "remove them")
            elif open_targets:
                self._problem(
                    (*path, "targets"), "a target for any name needs a model for any name", f"call the model {name}/*"
                )
            elif model.weights:
                self._weights(path, model)
            if model.slo and model.strategy != "cheapest":
                self.warnings.append(
                    f"{dotted((*path, 'slo'))} is recorded, but only the strategy cheapest acts on it, not {model.strategy}"
                )

    def _weights(self, path: Path, model: ModelConfig) -> None:
        if model.strategy != "weighted":
            self._problem(
                (*path, "weights"), f"the strategy {model.strategy} has no use for them", "write strategy: weighted"
            )
        for target in model.weights:
            if target not in model.targets:
                near = closest(target, model.targets)
                meant = f"did you mean {near}? " if near else ""
                self._problem(
                    (*path, "weights", target),
                    "is none of the model's targets",
                    f"{meant}Targets: {', '.join(model.targets)}",
                )
        if not any(model.weights.get(target, 1.0) for target in model.targets):
            self._problem(
                (*path, "weights"), "all weights are 0, so nothing would be drawn", "give one target at least 1"
            )

    def _providers(self) -> None:
        for name, provider in self._config.providers.items():
            path: Path = ("providers", name)
            if name == "pool":
                self._problem(path, "the name pool is taken: pool/... means replicas", "choose another name")
            for model, stated in provider.capabilities.items():
                self._capabilities((*path, "capabilities", model), stated)
            if provider.capacity is not None:
                self._capacity((*path, "capacity"), provider.capacity)
            if provider.endpoints:
                self._endpoints((*path, "endpoints"), provider.kind or name, provider)
            for model, versions in provider.prices.items():
                days = [version.from_ for version in versions]
                for index, day in enumerate(days):
                    if day in days[:index]:
                        version = (*path, "prices", model, index)
                        self._problem(
                            version, f"holds from the same day as another ({day or 'since ever'})", "keep one"
                        )
            lowered = [header.lower() for header in provider.headers]
            for header in provider.headers:
                here: Path = (*path, "headers", header)
                if header.lower() in _RESERVED_HEADERS or header.lower().startswith("proxy-"):
                    self._problem(here, "this header is the gateway's own", "remove it")
                elif header.lower() in _CREDENTIAL_HEADERS and provider.api_key is not None:
                    self._problem(here, "there are two credentials", "keep api_key or this header")
                elif lowered.count(header.lower()) > 1:
                    self._problem(here, "the header is written twice", "keep one of them")

    def _endpoints(self, path: Path, kind: str, provider: ProviderConfig) -> None:
        if kind not in ("sagemaker", "vertex"):
            self._problem(
                path, "only sagemaker and vertex have endpoints", "write kind: one of the two, or remove them"
            )
        if provider.capacity is not None:
            here: Path = (*path[:-1], "capacity")
            self._problem(here, "an endpoint has instances of its own", "state the capacity of each in endpoints")
        owners: dict[str, str] = {}
        for name, endpoint in provider.endpoints.items():
            if endpoint.capacity is not None:
                self._capacity((*path, name, "capacity"), endpoint.capacity)
                owner = owners.setdefault(endpoint.endpoint or name, name)
                if owner != name:
                    self._problem(
                        (*path, name, "capacity"),
                        f"the instances of {endpoint.endpoint or name} are stated twice",
                        f"keep those of {dotted((*path, owner, 'capacity'))}, or these",
                    )
            if endpoint.inference_component and endpoint.target_model:
                self._problem(
                    (*path, name, "target_model"),
                    "an inference component is one model already",
                    "keep target_model for a multi-model endpoint, or inference_component",
                )
            if endpoint.model and endpoint.container not in _NAMED_CONTAINERS:
                self._problem(
                    (*path, name, "model"),
                    f"a body for the container {endpoint.container} holds no model",
                    f"remove it; it is for {', '.join(_NAMED_CONTAINERS)}",
                )

    def _capacity(self, path: Path, stated: HourlyConfig) -> None:
        if stated.amortised_hourly_nanos > (stated.hourly_nanos or 0):
            here: Path = (*path, "amortised_hourly")
            self._problem(here, "is more than hourly, which it is a part of", "write the whole price as hourly")

    def _capabilities(self, path: Path, stated: CapabilitiesConfig) -> None:
        for index, feature in enumerate(stated.lacks):
            here: Path = (*path, "lacks", index)
            if feature in stated.has:
                self._problem(here, f"{feature} stands in has, too", "keep one of them")
            if feature == "reasoning" and stated.reasoning:
                self._problem(here, "reasoning cannot be lacking and be set", "remove it, or the setting reasoning")

    def _accounts(self) -> None:
        config = self._config
        tables: tuple[tuple[str, Mapping[str, KeyConfig | AccountConfig]], ...] = (
            ("keys", config.keys),
            ("tenants", config.tenants),
            ("tags", config.tags),
        )
        for table, accounts in tables:
            for name, account in accounts.items():
                self._budgets((table, name), account)

    def _budgets(self, path: Path, account: KeyConfig | AccountConfig) -> None:
        """At most one for each unit and period: of two, nobody could say which one holds."""
        owners: dict[tuple[str, str], Path] = {}
        if account.rpm is not None:
            owners["requests", "minute"] = (*path, "rpm")
        if account.tpm is not None:
            owners["tokens", "minute"] = (*path, "tpm")
        for index, budget in enumerate(account.budget):
            # One alone may stand there without a list.
            here: Path = (*path, "budget", index) if len(account.budget) > 1 else (*path, "budget")
            other = owners.setdefault((budget.unit, budget.period), here)
            if other != here:
                self._problem(here, f"{dotted(other)} limits {budget.unit}/{budget.period}, too", "keep one of them")

    def _keys(self) -> dict[str, KeyConfig]:
        found: dict[str, KeyConfig] = {}
        owners: dict[bytes, str] = {}
        for name, key in self._with_environment().items():
            path: Path = ("keys", name)
            if (key.key is None) == (key.digest == b""):
                self._problem(path, "needs either key or digest", f"key: ${{{_variable_for(name)}}}")
                continue
            digest = key.digest
            if key.key is not None:
                text = key.key.reveal()
                digest = hashlib.sha256(text.encode()).digest()
                if len(text) < _SHORTEST_KEY:
                    self.warnings.append(
                        f"{dotted(path)} is shorter than {_SHORTEST_KEY} characters and can be guessed"
                    )
            if digest in owners:
                self._problem(path, f"is the same key as {dotted(('keys', owners[digest]))}", "give each its own")
            owners[digest] = name
            found[name] = msgspec.structs.replace(key, key=None, digest=digest)
        return found

    def _with_environment(self) -> Mapping[str, KeyConfig]:
        text = self._environ.get(CLIENT_KEY_VARIABLE, "").strip()
        if self._config.keys or not text:
            return self._config.keys
        if not text.isascii() or not text.isprintable():
            self.problems.append(
                ConfigError(
                    "holds a character that is not printable ASCII",
                    where=CLIENT_KEY_VARIABLE,
                    hint="choose another key",
                )
            )
        return {"default": KeyConfig(key=Secret(text))}

    def _server(self) -> ServerConfig:
        server = self._config.server
        if ("server", "admin_port") not in self._config.places:
            admin_port = server.port + 1 if server.port else 0
            server = msgspec.structs.replace(server, admin_port=admin_port)
        if server.admin_port > 65535:
            self._problem(("server", "port"), "leaves no room for the admin port after it", "set server.admin_port")
        if server.port and server.port == server.admin_port:
            self._problem(
                ("server", "admin_port"), "is the port of the gateway itself", f"for example: {server.port + 1}"
            )
        return server

    def _ledger_folder(self) -> str:
        home = self._environ.get("HOME", "") or _home_of_user()
        folder = self._config.ledger.dir
        if not folder:
            state = self._environ.get("XDG_STATE_HOME", "")
            # The XDG specification: a relative path in the variable is to be ignored.
            base = state if state.startswith("/") else f"{home}/.local/state" if home else ""
            folder = f"{base}/trimaran" if base else ""
        elif folder.startswith("~/"):
            folder = home + folder[1:] if home else ""
        if not folder:
            self._problem(
                ("ledger", "dir"), "cannot be chosen: there is no home folder", "set ledger.dir, or TRIMARAN_LEDGER_DIR"
            )
        return folder


def _home_of_user() -> str:
    # Services and containers often run without HOME; the user database usually knows.
    home = os.path.expanduser("~")
    return home if home.startswith("/") else ""


def _variable_for(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.upper()) + "_KEY"
