"""``trimaran doctor``, ``init``, ``env`` and ``check``: is it set up, and how to do so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from trimaran.cli import doctor as doctor_room
from trimaran.cli.env import exports
from trimaran.cli.init import template
from trimaran.cli.output import FAILED, next_step, note, print_json, print_table
from trimaran.cli.serve import keys_path
from trimaran.config import load
from trimaran.dispatch.identities import refuse_exposure
from trimaran.dispatch.lookup import refuse_loop
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError
from trimaran.ledger.keys import read_keys
from trimaran.types import Snapshot

__all__ = ["check", "doctor", "env", "init"]


def doctor(path: str | None, *, as_json: bool) -> int:
    """A line for each provider; 0 when at least one can be used."""
    findings = doctor_room.run(load(path, os.environ), os.environ)
    usable = any(finding.ok for finding in findings)
    if as_json:
        print_json([msgspec.to_builtins(finding) for finding in findings])
        return 0 if usable else FAILED
    shown = [finding for finding in findings if finding.state != "not_configured"]
    shown += [finding for finding in findings if finding.state == "not_configured"][: 2 if not shown else 0]
    rows = [
        [
            finding.provider,
            finding.state.replace("_", " "),
            finding.base_url,
            " ".join((finding.detail, *finding.warnings)),
            finding.todo,
        ]
        for finding in shown
    ]
    print_table(["provider", "state", "address", "found", "to do"], rows)
    rest = [finding.provider for finding in findings if finding not in shown]
    if rest:
        note(f"not configured: {', '.join(rest)}")
    if usable:
        next_step(f"trimaran serve{f' --config {path}' if path else ''}")
    elif all(finding.state == "not_configured" for finding in findings):
        next_step("set one of the keys above, or try 'trimaran serve --mock'")
    else:
        next_step("do what stands under 'to do' and run this again, or try 'trimaran serve --mock'")
    return 0 if usable else FAILED


def init(path: Path, *, force: bool) -> int:
    """Write a configuration. Raises :class:`~trimaran.errors.ConfigError` when the file exists or cannot be written."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(template(os.environ))
    except FileExistsError:
        raise ConfigError("the file exists already", where=str(path), hint="use --force to replace it") from None
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", where=str(path)) from error
    note(f"wrote {path}")
    next_step(f"trimaran check --config {path}, then trimaran serve --config {path}")
    return 0


def env(path: str | None, overrides: Mapping[str, object]) -> int:
    """Exports for a shell."""
    config = load(path, os.environ, overrides)
    # An address to listen on that means all of them is none to connect to.
    host = config.server.host if config.server.host not in ("", "0.0.0.0", "::") else "127.0.0.1"
    stored = read_keys(keys_path(config))
    names = {*config.keys, *(row.name for row in stored if row.revoked_ns is None)}
    for line in exports(config.server.port, keys=sorted(names) or (["none is left"] if stored else []), host=host):
        print(line)
    return 0


def check(path: str | None, *, as_json: bool) -> int:
    """What the configuration serves. Raises :class:`~trimaran.errors.ConfigError` when it cannot be used."""
    config = load(path, os.environ)
    snapshot = build_snapshot(config, os.environ, 1, read_keys(keys_path(config)))
    refuse_loop(snapshot, config.server)
    refuse_exposure(config, snapshot)
    rows = _served(snapshot)
    if as_json:
        print_json({"file": path, "models": rows, "warnings": list(snapshot.warnings), "keys": len(snapshot.keys)})
        return 0
    if rows:
        print_table(
            ["model", "strategy", "target", "price"],
            [[row["model"], row["strategy"], row["target"], row["price"]] for row in rows],
            title=path or "no file: what the environment reaches",
        )
    else:
        print(f"{path or 'no file'}: nothing is served yet")
    for warning in snapshot.warnings:
        note(f"note: {warning}")
    if not rows:
        next_step("trimaran doctor shows what to set; 'trimaran serve --mock' needs nothing")
        return 0
    next_step(f"trimaran serve{f' --config {path}' if path else ''}")
    return 0


def _served(snapshot: Snapshot) -> list[dict[str, str]]:
    rows = [
        {
            "model": name,
            "strategy": policy.strategy,
            "target": target,
            "price": _price(snapshot, target),
        }
        for name, policy in snapshot.models.items()
        for target in policy.targets
    ]
    rows += [
        {"model": f"{prefix}/*", "strategy": "", "target": f"any model of {prefix}", "price": "by model"}
        for prefix in snapshot.wildcards
    ]
    return rows


def _price(snapshot: Snapshot, target: str) -> str:
    price = snapshot.targets[target].price
    if price is None:
        return "unknown"
    tier = price.tiers[0]
    return f"${tier.input / 1e6:g} in, ${tier.output / 1e6:g} out per million tokens ({price.version})"
