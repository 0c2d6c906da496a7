"""The reference page and the JSON schema, both derived from the declarations in :mod:`trimaran.config.settings`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from trimaran.config.checks import CLIENT_KEY_VARIABLE
from trimaran.config.loader import FILE_VARIABLE, overridable
from trimaran.config.setting import Field, Group, Kind, Listing, Table, fields_of
from trimaran.config.settings import SERVICES, Config

__all__ = ["DESCRIBED_ELSEWHERE", "json_schema", "markdown", "walk"]

DESCRIBED_ELSEWHERE = (
    # The same settings as the general limits, and as a model's standard prices.
    "models.<name>.limits.",
    *(f"providers.<name>.prices.<name>.{service}." for service in SERVICES),
)

_INTRODUCTION = f"""\
# Configuration

<!-- Written by scripts/generate_reference.py from the declarations in src/trimaran/config/settings/. -->

Trimaran needs no configuration: without a file it serves what the credentials in the environment reach. `trimaran init`
writes a commented file to start from, `trimaran serve --config trimaran.yaml` uses it; `{FILE_VARIABLE}` names it, too.

Later sources win: the default, the file, the environment, the command line. Settings that have an environment variable
or an option say so below. Where the file has no keys, `{CLIENT_KEY_VARIABLE}` in the environment is the key that
clients must send.

## How values are written

| value | written | not |
|---|---|---|
| duration | `250ms`, `30s`, `2m`, `1h` | `30` |
| size | `64KiB`, `10MiB`, `1GiB` | `10485760` |
| amount | `0.05 USD`, `$0.05` | `0.05` |
| price | `0.15 USD/1M`, `0.0006 USD/1K`; of calls `10 USD/1K` | `0.15` |
| budget | `500 USD/month`, `2M tokens/day`, `10000 requests/hour` | `500` |
| moment | `2027-01-31`, `2027-01-31T18:00Z` | `31.1.2027` |
| from the environment | `${{NAME}}`, `${{NAME:-default}}`; `$${{` for the two characters | |
| credential | `${{NAME}}`, `${{file:/run/secrets/name}}` | the credential itself |
| target | `provider/model` | `model` |

An unknown setting, a setting written twice and a variable that is not set are errors, never ignored. JSON is YAML, too.
The [JSON schema](trimaran.schema.json) lets an editor complete and check the file.
"""


def walk(struct: type[msgspec.Struct] = Config, path: str = "") -> Iterator[tuple[str, Field]]:
    """Every setting with its dotted name; ``<name>`` stands for a name that the user chooses."""
    for field in fields_of(struct):
        here = f"{path}.{field.name}" if path else field.name
        yield here, field
        inner, step = _inside(field.setting.kind)
        if inner is not None:
            yield from walk(inner, here + step)


def _inside(kind: Kind) -> tuple[type[msgspec.Struct] | None, str]:
    if isinstance(kind, Group):
        return kind.struct, ""
    if isinstance(kind, Table):
        inner = kind.value.item if isinstance(kind.value, Listing) else kind.value
        return (inner.struct, ".<name>") if isinstance(inner, Group) else (None, "")
    return None, ""


def markdown() -> str:
    """The reference page."""
    overrides = overridable()
    parts = [_INTRODUCTION]
    for name, field in walk():
        if name.startswith(DESCRIBED_ELSEWHERE):
            continue
        level = 2 if "." not in name else 3
        parts.append("\n".join(_section(name, field, overrides.get(name), level)))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _section(name: str, field: Field, override: tuple[str, str] | None, level: int) -> list[str]:
    setting = field.setting
    lines = [f"{'#' * level} `{name}`", "", setting.what]
    if field.refused:
        return [*lines, "", f"**Not part of this version:** {setting.kind.instead}."]
    lines += ["", f"- Why: {setting.why}"]
    if setting.unit:
        lines.append(f"- Unit: {setting.unit}")
    reason = "" if isinstance(setting.kind, Group) else f" ({setting.reason})"
    lines.append(f"- Default: {default_text(field)}{reason}")
    lines.append(f"- Example: {_example(field)}")
    if override is not None:
        variable, option = override
        lines.append(f"- Environment: `{variable}`" + (f"; command line: `{option}`" if option else ""))
    return lines


def _example(field: Field) -> str:
    example = field.setting.kind.example
    written = example if example.startswith(f"{field.name}:") else f"{field.name}: {example}"
    return f"`{written}`"


def default_text(field: Field) -> str:
    """The default as a user would write it."""
    if field.required:
        return "none, it must be given"
    if field.setting.default:
        return field.setting.default
    if isinstance(field.setting.kind, Group):
        return "the defaults of its settings"
    return f"`{field.setting.kind.show(field.default)}`"


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the file."""
    root = Group(Config, expected="sections", example="")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Trimaran configuration",
        **root.schema(),
    }
