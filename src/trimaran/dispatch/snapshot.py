"""From a configuration to what a worker serves: names resolved, prices looked up, keys turned into digests.

The configuration knew only shapes; here every name meets its registry, and a name that is unknown is reported with its
``file:line``, the closest known one and the list. All problems are found before any is raised. The result is immutable;
:mod:`.lookup` answers for a public model what stands behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from trimaran.catalog import overridden
from trimaran.config import (
    CapabilitiesConfig,
    Config,
    ProviderConfig,
    closest,
    combined,
    dotted,
    quote,
)
from trimaran.dispatch.identities import identities
from trimaran.dispatch.lookup import concrete, resolve
from trimaran.dispatch.prices import in_force, today
from trimaran.errors import ConfigError, UnknownModel
from trimaran.ledger.keys import KeyRow
from trimaran.providers import (
    NOT_YET,
    PROVIDERS,
    Endpoint,
    clean_secret,
    endpoint,
    kind_of,
    output_limit,
    problems_of,
    words_of,
)
from trimaran.routing import STRATEGIES
from trimaran.types import Identity, ModelPolicy, Slo, Snapshot, Target
from trimaran.wire import DIALECTS

__all__ = ["build_snapshot"]

AUTO = "auto"
"""The model that is served without a configuration: the fastest of each provider's default models."""


def build_snapshot(
    config: Config, environ: Mapping[str, str], version: int, stored: Sequence[KeyRow] = (), *, day: str | None = None
) -> Snapshot:
    """What to serve. Raises :class:`ConfigError` with every problem, each with its ``file:line``.

    ``stored`` are the keys that ``trimaran keys`` made, revoked ones too. ``day`` (an ISO date of UTC) is the one whose prices
    hold: today, when it is left out.

    With models configured, they and nothing else are served. Without, each provider whose credential is found is served
    as ``provider/*``, its default model takes part in ``auto``, and a model's bare name finds its provider.
    """
    return _Builder(config, environ, today() if day is None else day).build(version, stored)


class _Builder:
    """Resolves one configuration. Collects problems and warnings on its way."""

    def __init__(self, config: Config, environ: Mapping[str, str], day: str) -> None:
        self._config = config
        self._day = day
        self._environ = environ
        self._problems: list[ConfigError] = []
        self._warnings: list[str] = list(config.warnings)
        self._templates: dict[str, Target | None] = {}
        self._secrets: dict[str, str] = {}
        self._identities: dict[str, Identity] = {}
        self._headers: dict[str, tuple[tuple[str, str], ...]] = {}
        self._targets: dict[str, Target] = {}
        self._models: dict[str, ModelPolicy] = {}
        self._wildcards: dict[str, Target] = {}

    def build(self, version: int, stored: Sequence[KeyRow]) -> Snapshot:
        config = self._config
        if config.models:
            self._configured()
        else:
            self._discovered()
        self._listed()
        self._stated()
        self._unpriced()
        who = identities(config, stored)
        self._problems += who.problems
        self._warnings += who.warnings
        snapshot = Snapshot(
            version=version,
            targets=self._targets,
            models=self._models,
            wildcards=self._wildcards,
            secrets=self._secrets,
            identities=self._asked_identities(),
            headers=self._headers,
            keys=who.keys,
            require_key=who.require_key,
            allowances=who.allowances,
            anonymous_allowances=who.anonymous_allowances,
            default_limits=config.limits.limits(),
            on_ledger_failure=config.ledger.on_failure,
            server=config.server.limits(),
            day=self._day,
            bare_names=not config.models,
            warnings=tuple(dict.fromkeys(self._warnings)),
        )
        if not self._problems:
            snapshot = self._check_key_models(snapshot)
        if self._problems:
            raise combined(self._problems, config.origin)
        return snapshot

    def _asked_identities(self) -> dict[str, Identity]:
        """Those that a target needs: where each has a key of its own, nobody is to be asked for a token."""
        used = {target.credential for target in (*self._targets.values(), *self._wildcards.values())}
        return {name: identity for name, identity in self._identities.items() if name in used}

    def _problem(self, path: tuple[str | int, ...], message: str, hint: str) -> None:
        where = self._config.where(*path)
        name = dotted(path)
        self._problems.append(ConfigError(message if where == name else f"{name}: {message}", where=where, hint=hint))

    # Models

    def _configured(self) -> None:
        for name, model in self._config.models.items():
            if model.strategy not in STRATEGIES:
                self._unknown_strategy(name, model.strategy)
            if name.endswith("/*"):
                provider = model.targets[0].removesuffix("/*")
                template = self._template(provider, ("models", name, "targets", 0))
                if template is not None:
                    self._wildcards[name.removesuffix("/*")] = template
                continue
            ids = []
            for index, text in enumerate(model.targets):
                target = self._target(text, ("models", name, "targets", index))
                if target is not None:
                    ids.append(target.id)
            weights = tuple(model.weights.get(target, 1.0) for target in ids) if model.strategy == "weighted" else ()
            self._models[name] = ModelPolicy(
                name,
                model.strategy,
                tuple(ids),
                model.limits.limits(),
                weights,
                _slo(model.slo),
                model.on_cut,
                model.hold_bytes,
                model.failover_on,
                self._fallbacks(name),
            )

    def _fallbacks(self, model: str) -> tuple[str, ...]:
        """All models that stand in for ``model``, each once: its own, then theirs. Circles end by that."""
        found: list[str] = []
        waiting = [(model, index, name) for index, name in enumerate(self._config.models[model].fallbacks)]
        while waiting:
            owner, index, name = waiting.pop(0)
            written = self._config.models.get(name)
            if written is None or name.endswith("/*"):
                near = closest(name, self._config.models)
                hint = f"did you mean {near}?" if near else f"known: {', '.join(self._config.models)}"
                self._problem(("models", owner, "fallbacks", index), f"there is no model {quote(name)}", hint)
            elif name not in (model, *found):
                found.append(name)
                waiting += [(name, i, each) for i, each in enumerate(written.fallbacks)]
        return tuple(found)

    def _unknown_strategy(self, name: str, strategy: str) -> None:
        path = ("models", name, "strategy")
        known = ", ".join(STRATEGIES)
        near = closest(strategy, STRATEGIES)
        meant = f"did you mean {near}? " if near else ""
        self._problem(path, f"unknown strategy {quote(strategy)}", f"{meant}Known: {known}")

    def _target(self, text: str, path: tuple[str | int, ...]) -> Target | None:
        provider, _, upstream = text.partition("/")
        template = self._template(provider, path)
        if template is None:
            return None
        target = self._targets.get(text)
        if target is None:
            self._targets[text] = target = concrete(template, upstream, self._day)
            self._check_name(template, upstream, path)
        return target

    def _check_name(self, template: Target, upstream: str, path: tuple[str | int, ...]) -> None:
        settings = self._config.providers.get(template.provider) or ProviderConfig()
        try:
            self._warnings += kind_of(template.kind).check(template, upstream, settings, self._config.where(*path))
        except ConfigError as error:
            self._problems.append(error)

    def _discovered(self) -> None:
        defaults = []
        for name in dict.fromkeys([*PROVIDERS, *self._config.providers]):
            found = self._endpoint(name)
            if found is None:
                continue
            if not found.usable:
                if found.problem is not None:
                    if found.evident:
                        self._warnings.append(f"{name} is not served: {found.problem.message}; {found.problem.hint}")
                elif name in self._config.providers:
                    self._warnings.append(f"{name} is configured, but has no credential; tried {_tried(found)}")
                continue
            if not found.evident:
                continue
            template = self._template(name, ("providers", name))
            if template is None:
                continue
            self._wildcards[name] = template
            default = found.config.default_model or (found.row.default_model if found.row else "")
            if default:
                target = self._target(f"{name}/{default}", ("providers", name, "default_model"))
                defaults.append(target.id if target else "")
        if defaults:
            self._models[AUTO] = ModelPolicy(AUTO, "fastest", tuple(defaults), self._config.limits.limits())
        if not self._wildcards:
            variables = ", ".join(row.key_env[0] for row in PROVIDERS.values() if row.key_env)
            self._warnings.append(f"no provider's credential was found; set one of {variables}, or write providers")

    def _listed(self) -> None:
        """What a provider's settings list exists from the start, so that a wildcard finds it, too."""
        for name, settings in self._config.providers.items():
            template = self._templates.get(name)
            kind = kind_of(template.kind if template is not None else settings.kind or name)
            self._problems += problems_of(kind, name, settings, self._config)
            if template is not None:
                self._targets |= {target.id: target for target in kind.listed(template, settings, self._day)}
                self._secrets |= {key: each.reveal() for key, each in kind.secrets(name, settings).items()}
                self._warnings += kind.doubts(name, settings, self._targets)

    def _stated(self) -> None:
        """Models with a price or capabilities of their own exist from the start, so that a wildcard finds them, too."""
        for name, provider in self._config.providers.items():
            template = self._templates.get(name)
            if template is None:
                continue
            for upstream, capable in provider.capabilities.items():
                where = self._config.where("providers", name, "capabilities", upstream)
                target = self._targets.get(f"{name}/{upstream}") or concrete(template, upstream, self._day)
                self._targets[target.id] = _capable(target, template, capable, where)
            for upstream, stated in provider.prices.items():
                where = self._config.where("providers", name, "prices", upstream)
                target = self._targets.get(f"{name}/{upstream}") or concrete(template, upstream, self._day)
                price = in_force(stated, self._day, where) or target.price
                self._targets[target.id] = msgspec.structs.replace(target, price=price)

    def _unpriced(self) -> None:
        for name, policy in self._models.items():
            for target in policy.targets if policy.strategy == "cheapest" else ():
                if self._targets[target].price is None:
                    provider, _, upstream = target.partition("/")
                    self._warnings.append(
                        f"{dotted(('models', name))}: the price of {target} is unknown, so it is never the cheapest; "
                        f"state it in {dotted(('providers', provider, 'prices', upstream))}"
                    )

    # Providers

    def _template(self, name: str, path: tuple[str | int, ...]) -> Target | None:
        """A target of the provider with ``*`` for its model; ``None`` once a problem with it was noted."""
        if name in self._templates:
            return self._templates[name]
        self._templates[name] = None
        if name not in PROVIDERS and name not in self._config.providers:
            self._unknown_provider(name, path)
            return None
        found = self._endpoint(name)
        if found is None:
            return None
        unknown = [dialect for dialect in found.dialects if dialect not in DIALECTS]
        if unknown:
            near = closest(unknown[0], DIALECTS)
            meant = f"did you mean {near}? " if near else ""
            hint = f"{meant}Known: {', '.join(DIALECTS)}"
            self._problem(("providers", name, "dialects"), f"unknown dialect {quote(unknown[0])}", hint)
            return None
        if found.problem is not None:
            self._problem(path, found.problem.message, found.problem.hint)
            return None
        if not found.usable:
            hint = f"export {found.tried[1]}=..., or write {found.tried[0]}; `trimaran doctor` shows what was tried"
            self._problem(path, f"there is no credential for {name}", hint)
            return None
        self._templates[name] = template = self._made(found)
        return template

    def _made(self, found: Endpoint) -> Target:
        name = found.name
        self._warnings += found.warnings
        if found.secret is not None:
            self._secrets[name] = found.secret.reveal()
        elif found.access is not None:
            self._identities[name] = found.access.identity
            if found.access.words:
                self._secrets[words_of(name)] = found.access.words
        if found.config.headers:
            values = ((header, clean_secret(value.reveal(), name)[0]) for header, value in found.config.headers.items())
            self._headers[name] = tuple(values)
        return Target(
            id=f"{name}/*",
            provider=name,
            upstream_model="*",
            dialects=found.dialects,
            base_url=found.base_url,
            credential=name if name in self._secrets or name in self._identities else "",
            region=found.config.region,
            max_output_tokens=found.config.max_output_tokens,
            simulated=found.config.simulated,
            kind=found.row.name if found.row is not None else "",
            facts=found.facts | ({"api": found.config.api} if found.config.api else {}),
            door=found.row.door if found.row is not None else "",
            cold_start_s=_cold_start_s(found),
        )

    def _endpoint(self, name: str) -> Endpoint | None:
        try:
            return endpoint(name, self._config, self._environ)
        except ConfigError as error:
            if str(error) not in map(str, self._problems):
                self._problems.append(error)
            return None

    def _unknown_provider(self, name: str, path: tuple[str | int, ...]) -> None:
        if name in NOT_YET:
            what = "pools are" if name == "pool" else f"the provider {name} is"
            hint = (
                "a server you already run can be a provider: {base_url: http://...}" if name == "pool" else "remove it"
            )
            self._problem(path, f"{what} not part of this version", hint)
            return
        known = [*PROVIDERS, *self._config.providers]
        near = closest(name, known)
        meant = f"did you mean {near}? " if near else ""
        hint = f"{meant}Known: {', '.join(known)}; any other needs an entry in providers with its base_url"
        self._problem(path, f"unknown provider {quote(name)}", hint)

    # Keys

    def _check_key_models(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with warnings about stored keys; what the configuration gets wrong is a problem."""
        warnings = list(snapshot.warnings)
        for record in snapshot.keys:
            for index, model in enumerate(record.models):
                try:
                    resolve(snapshot, model)
                except UnknownModel as error:
                    near = closest(model, snapshot.models)
                    hint = f"did you mean {near}?" if near else ""
                    if record.id in self._config.keys:
                        self._problem(("keys", record.id, "models", index), error.message, hint)
                    else:
                        warnings.append(f"the stored key {record.id} may call what is not there: {error.message}")
        return msgspec.structs.replace(snapshot, warnings=tuple(dict.fromkeys(warnings)))


def _cold_start_s(found: Endpoint) -> float:
    """The operator's word, else what is known of such a provider."""
    if found.config.cold_start_s is not None:
        return found.config.cold_start_s
    return found.row.cold_start_s if found.row is not None else 0.0


def _tried(found: Endpoint) -> str:
    return ", ".join(found.tried)


def _capable(target: Target, template: Target, stated: CapabilitiesConfig, where: str) -> Target:
    known = overridden(
        target.capabilities,
        family=target.upstream_model,
        source=f"configuration ({where})",
        has=stated.has,
        lacks=stated.lacks,
        context_tokens=stated.context_tokens,
        max_output_tokens=stated.max_output_tokens,
        reasoning_control=stated.reasoning,
    )
    return msgspec.structs.replace(
        target,
        capabilities=known,
        max_output_tokens=stated.max_output_tokens
        or template.max_output_tokens
        or output_limit(target.dialects, known),
    )


def _slo(stated: Mapping[str, float]) -> Slo:
    """``ttft_p95: 1.0`` as :class:`Slo` says it."""
    limits: dict[str, list[tuple[float, float]]] = {"ttft": [], "tpot": [], "e2e": []}
    for name, limit_s in stated.items():
        measure, _, percent = name.partition("_p")
        limits[measure].append((int(percent) / 100, limit_s))
    return Slo(**{measure: tuple(sorted(found)) for measure, found in limits.items()})
