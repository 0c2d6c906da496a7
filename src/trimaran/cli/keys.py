"""``trimaran keys``: client keys that are made, rotated and revoked while the gateway runs.

A secret is printed once, alone on its line of stdout, so that a script can take it; what is kept is its digest. What may be
said about a key follows the same rules as ``keys`` in the configuration, because it is read by the same code.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from trimaran.cli.output import next_step, note, print_json, print_table
from trimaran.cli.serve import keys_path
from trimaran.config import Config, KeyConfig, closest, combined, load, load_mapping, quote
from trimaran.config.units import parse_duration
from trimaran.errors import ConfigError
from trimaran.ledger.keys import KeyRow, KeyStore, read_keys
from trimaran.types import DEFAULT_TENANT

__all__ = ["create", "revoke", "rotate", "show", "show_all"]

PREFIX_LENGTH = 8
_BYTES = 32
_EFFECT = "a running gateway knows it within 5 s"


def create(
    path: str | None,
    overrides: Mapping[str, object],
    name: str,
    *,
    tenant: str | None = None,
    tags: Sequence[str] = (),
    models: Sequence[str] = (),
    budgets: Sequence[str] = (),
    rpm: int | None = None,
    tpm: int | None = None,
    expires: str | None = None,
    as_json: bool = False,
) -> int:
    """Make a key and print its secret. Raises :class:`ConfigError`, also when the store cannot be used."""
    config = load(path, os.environ, overrides)
    now_ns = time.time_ns()
    secret = _new_secret()
    asked: dict[str, object] = {"tenant": tenant, "rpm": rpm, "tpm": tpm, "expires": _expiry_text(expires, now_ns)}
    asked |= {"tags": _tags(tags), "models": list(models) or None, "budget": list(budgets) or None}
    key = _checked(name, _digest(secret), {setting: value for setting, value in asked.items() if value is not None})
    _refuse_name(config, name)
    _refuse_models(config, key.models)
    row = KeyRow(
        name=name,
        digest=key.digest,
        prefix=secret[:PREFIX_LENGTH],
        tenant=key.tenant,
        tags=key.tags,
        models=key.models,
        budget=tuple(budget.text for budget in key.budget),
        rpm=key.rpm,
        tpm=key.tpm,
        expires_ns=_future(key.expires_ns, now_ns),
        created_ns=now_ns,
        created_by=_user(),
    )
    store_path = keys_path(config)
    first = not config.keys and not (store_path.exists() and store_path.stat().st_size and read_keys(store_path))
    with KeyStore(store_path) as store:
        store.create(row)
    _hand_over(secret, row, now_ns, as_json=as_json)
    note(f"the key {name} of the tenant {row.tenant}; it is not shown again, and {_EFFECT}")
    if first:
        note("it is the first one: from now on every request needs a key")
    next_step(f"give it to the client as OPENAI_API_KEY or ANTHROPIC_API_KEY; trimaran keys show {name}")
    return 0


def rotate(
    path: str | None,
    overrides: Mapping[str, object],
    name: str,
    *,
    grace: str = "0s",
    expires: str | None = None,
    as_json: bool = False,
) -> int:
    """Give a key a new secret and print it. Raises :class:`ConfigError`."""
    config = load(path, os.environ, overrides)
    now_ns = time.time_ns()
    secret = _new_secret()
    grace_s = _span(grace, "--grace")
    settings = {} if expires is None else {"expires": _expiry_text(expires, now_ns)}
    wanted = _checked(name, _digest(secret), settings)
    given = KeyRow(
        name=name,
        digest=wanted.digest,
        prefix=secret[:PREFIX_LENGTH],
        tenant="",
        expires_ns=_future(wanted.expires_ns, now_ns),
        created_ns=now_ns,
        created_by=_user(),
    )
    with _opened(config, name) as store:
        row = store.rotate(name, given, now_ns + round(grace_s * 10**9))
    _hand_over(secret, row, now_ns, as_json=as_json)
    until = f"until {_time(now_ns + round(grace_s * 10**9))} UTC" if grace_s else "no longer"
    note(f"the new secret of {name}; it is not shown again, and {_EFFECT}. The old one is valid {until}")
    next_step(f"give it to the client; trimaran keys show {name}")
    return 0


def revoke(path: str | None, overrides: Mapping[str, object], name: str, *, as_json: bool = False) -> int:
    """Refuse a key from now on. Raises :class:`ConfigError`."""
    config = load(path, os.environ, overrides)
    with _opened(config, name) as store:
        store.revoke(name, time.time_ns(), _user())
        rows = store.rows(name)
    if as_json:
        print_json([_facts(row, time.time_ns()) for row in rows])
    note(f"the key {name} is revoked; {_EFFECT}. Answers that are under way go on to their end")
    next_step("trimaran keys list")
    return 0


def show(path: str | None, overrides: Mapping[str, object], name: str, *, as_json: bool = False) -> int:
    """One key with the history of its secrets. Raises :class:`ConfigError`."""
    config = load(path, os.environ, overrides)
    now_ns = time.time_ns()
    configured = config.keys.get(name)
    if configured is not None:
        facts = [_configured_facts(config, name, configured, now_ns)]
    else:
        with _opened(config, name) as store:
            rows = store.rows(name)
        if not rows:
            raise _unknown(config, name)
        facts = [_facts(row, now_ns) for row in rows]
    if as_json:
        print_json(facts)
        return 0
    for each in facts:
        shown = {label: _cell(value) for label, value in each.items() if value not in (None, [], (), {})}
        print_table(["setting", "value"], [[label.removesuffix("_ns"), value] for label, value in shown.items()])
    next_step(f"trimaran spend --key {name}")
    return 0


def show_all(path: str | None, overrides: Mapping[str, object], *, history: bool = False, as_json: bool = False) -> int:
    """All keys, configured and stored; with ``history`` also rotated and revoked ones. Raises :class:`ConfigError`."""
    config = load(path, os.environ, overrides)
    now_ns = time.time_ns()
    facts = [_configured_facts(config, name, key, now_ns) for name, key in config.keys.items()]
    rows = read_keys(keys_path(config))
    facts += [_facts(row, now_ns) for row in rows if history or row.state(now_ns) not in ("rotated", "revoked")]
    if as_json:
        print_json(facts)
        return 0
    if facts:
        print_table(
            ["key", "tenant", "begins", "state", "until", "limits", "tags", "models", "from"], [*map(_line, facts)]
        )
    else:
        note("every key is revoked" if rows else "there is no key: whoever reaches the gateway may use it")
    next_step("trimaran keys create NAME --tenant TENANT --budget '500 USD/month'")
    return 0


def _new_secret() -> str:
    return f"tk-{secrets.token_urlsafe(_BYTES)}"


def _digest(secret: str) -> str:
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


def _checked(name: str, digest: str, settings: Mapping[str, object]) -> KeyConfig:
    """The settings as the configuration would read them."""
    try:
        return load_mapping({"keys": {name: {"digest": digest, **settings}}}, {"HOME": "/"}).keys[name]
    except ConfigError as error:
        raise combined([_at_option(each, name) for each in error.problems or (error,)], "the options") from error


def _at_option(error: ConfigError, name: str) -> ConfigError:
    """``keys.team-a.budget[1]`` is ``--budget`` to whoever typed it."""
    setting = (
        re.sub(r"\[.*", "", error.where.removeprefix(f"keys.{name}.")) if error.where != f"keys.{name}" else "name"
    )
    option = {"tags": "--tag", "models": "--model", "name": "NAME"}.get(setting.partition(".")[0])
    message = error.message.replace(f"keys.{name}.", "--")
    return ConfigError(message, where=option or (f"--{setting}" if setting.isalpha() else "NAME"), hint=error.hint)


def _expiry_text(text: str | None, now_ns: int) -> str | None:
    """A span (``90d``) becomes the moment it leads to; anything else is for the configuration to read."""
    if text is None or re.fullmatch(r"[0-9]{1,5} ?[smhd]", text) is None:
        return text
    end_s = now_ns // 10**9 + round(_span(text, "--expires"))
    return datetime.fromtimestamp(end_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(text: str, option: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"expected {error}", where=option, hint="for example: 24h") from error


def _future(expires_ns: int | None, now_ns: int) -> int | None:
    if expires_ns is not None and expires_ns <= now_ns:
        raise ConfigError("this moment is over", where="--expires", hint="write a later date, or a span such as 90d")
    return expires_ns


def _tags(tags: Sequence[str]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for tag in tags:
        name, equals, value = tag.partition("=")
        if not equals or name in found:
            what = "is given twice" if equals else "is no tag"
            raise ConfigError(
                f"{quote(tag)} {what}", where="--tag", hint="write NAME=VALUE, for example cost_center=42"
            )
        found[name] = value
    return found or None


def _refuse_name(config: Config, name: str) -> None:
    if name in config.keys:
        raise ConfigError(
            f"the configuration has a key {name}", where=config.where("keys", name), hint="choose another name"
        )
    if name == "default":
        raise ConfigError(
            "the name default is that of the key in TRIMARAN_KEY", where="NAME", hint="choose another name"
        )


def _refuse_models(config: Config, models: Sequence[str]) -> None:
    """Only what the file names can be checked here: what else is served depends on the gateway's environment."""
    for model in models if config.models else ():
        if model not in config.models and f"{model.partition('/')[0]}/*" not in config.models:
            near = closest(model, config.models)
            meant = f"did you mean {near}? " if near else ""
            raise ConfigError(
                f"model {quote(model)} is not served here",
                where="--model",
                hint=f"{meant}Known: {', '.join(config.models)}",
            )


def _opened(config: Config, name: str) -> KeyStore:
    path = keys_path(config)
    if name in config.keys:
        raise ConfigError(
            f"the key {name} is the configuration's", where=config.where("keys", name), hint="change it there"
        )
    if not path.exists():
        raise _unknown(config, name)
    return KeyStore(path, create=False)


def _unknown(config: Config, name: str) -> ConfigError:
    return ConfigError(
        f"there is no key {quote(name)}", where=str(keys_path(config)), hint="trimaran keys list shows those that are"
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _hand_over(secret: str, row: KeyRow, now_ns: int, *, as_json: bool) -> None:
    if as_json:
        print_json({**_facts(row, now_ns), "secret": secret})
    else:
        print(secret, flush=True)


def _facts(row: KeyRow, now_ns: int) -> dict[str, object]:
    facts = msgspec.structs.asdict(row)
    facts.pop("number")
    facts["digest"] = f"sha256:{row.digest.hex()}"
    return {"name": facts.pop("name"), "state": row.state(now_ns), "from": "store", **facts}


def _configured_facts(config: Config, name: str, key: KeyConfig, now_ns: int) -> dict[str, object]:
    expired = key.expires_ns is not None and now_ns >= key.expires_ns
    return {
        "name": name,
        "state": "expired" if expired else "active",
        "from": config.where("keys", name),
        "tenant": key.tenant,
        "tags": key.tags,
        "models": list(key.models),
        "budget": [budget.text for budget in key.budget],
        "rpm": key.rpm,
        "tpm": key.tpm,
        "expires_ns": key.expires_ns,
    }


def _line(facts: Mapping[str, object]) -> list[str]:
    limits = [*_texts(facts["budget"])]
    limits += [f"{facts[each]} {each}" for each in ("rpm", "tpm") if facts[each] is not None]
    ends = [each for each in (facts["expires_ns"], facts.get("valid_until_ns")) if isinstance(each, int)]
    return [
        str(facts["name"]),
        "" if facts["tenant"] == DEFAULT_TENANT else str(facts["tenant"]),
        f"{facts['prefix']}…" if facts.get("prefix") else "",
        str(facts["state"]),
        _time(min(ends)) if ends else "",
        ", ".join(limits),
        _cell(facts["tags"]),
        _cell(facts["models"]) or "all",
        str(facts["from"]),
    ]


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else []


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    if isinstance(value, int) and value > 10**15:
        return f"{_time(value)} UTC"
    return ", ".join(_texts(value)) if isinstance(value, list | tuple) else str(value)


def _time(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns // 10**9, UTC):%Y-%m-%d %H:%M}"
