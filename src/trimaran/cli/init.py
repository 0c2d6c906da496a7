"""What ``trimaran init`` writes: a commented ``trimaran.yaml`` that works as it is.

It is adapted to the credentials in the environment: what they reach is switched on, the rest stands there as comments.
Defaults shown in comments come from the declared settings, so that the file cannot disagree with the program.
"""

from __future__ import annotations

from collections.abc import Mapping

from trimaran.config.reference import default_text, walk
from trimaran.providers import PROVIDERS, ProviderRow, discover

__all__ = ["template"]

_HEAD = """\
# Trimaran's configuration. Every setting: docs/reference/configuration.md
# Check it with `trimaran doctor`, use it with `trimaran serve --config trimaran.yaml`. A running gateway takes changes
# at once, and keeps what it has when something is wrong with the new file.
# Credentials never stand in this file: write ${NAME} and put NAME into the environment.

"""

_MODELS = "# What clients may ask for. The fastest healthy target answers `chat`; when it fails, the next one does."

_PROVIDERS = """\
# Known providers need only their credential in the environment. Anything else that speaks a known dialect, or a known
# one with something changed, goes here.
# providers:
#   vllm:
#     base_url: http://127.0.0.1:8000
#     prices:
#       my-model: {input: 0.10 USD/1M, output: 0.30 USD/1M}   # without a price, its cost is unknown, never 0

"""

_KEYS = """\
# The clients' keys. Without them only this machine may ask; to listen anywhere else, they are required.
# keys:
#   team-a: {key: "${TEAM_A_KEY}", tags: {cost_center: "42"}}

"""


def template(environ: Mapping[str, str]) -> str:
    """The file's text for what is in the environment. It loads with the same environment, and serves something if any
    credential was found."""
    defaults = {name: default_text(field) for name, field in walk()}
    found = discover(environ)
    return "".join([_HEAD, _models(found), _PROVIDERS, _KEYS, _limits(defaults), _server(defaults)])


def _models(found: list[ProviderRow]) -> str:
    rows = found or [PROVIDERS["openai"], PROVIDERS["anthropic"]]
    targets = ", ".join(f"{row.name}/{row.default_model}" for row in rows if row.default_model)
    lines = [_MODELS, "models:"]
    if targets:
        lines += [
            "  chat:",
            "    strategy: fastest                # or ordered: the first one, unless it fails",
            f"    targets: [{targets}]",
            "    # limits: {deadline: 30s, max_cost: 0.05 USD}",
        ]
    for row in rows:
        entry = f"  {row.name}/*: {{targets: [{row.name}/*]}}"
        lines.append(f"{entry:<48}# any model of {row.name}, by its name there")
    if found:
        return "\n".join(lines) + "\n\n"
    variables = " and ".join(row.key_env[0] for row in rows)
    note = f"# No credential was found. Set {variables}, or one of them and remove the other below, then uncomment.\n"
    return note + "\n".join(line if line.startswith("#") else f"# {line}" for line in lines) + "\n\n"


def _limits(defaults: Mapping[str, str]) -> str:
    lines = [
        "# Bounds of each request, through all of its attempts. Clients may tighten them, never loosen them.",
        "# limits:",
    ]
    for name in ("deadline", "connect", "ttft", "idle", "max_attempts"):
        lines.append(f"#   {name}: {defaults[f'limits.{name}'].strip('`')}")
    lines.append("#   max_cost: 0.05 USD               # without it, no limit")
    return "\n".join(lines) + "\n\n"


def _server(defaults: Mapping[str, str]) -> str:
    lines = ["# server:"]
    for name in ("host", "port", "workers"):
        lines.append(f"#   {name}: {defaults[f'server.{name}'].strip('`')}")
    lines += ["# ledger:", "#   dir: /var/lib/trimaran            # " + defaults["ledger.dir"]]
    return "\n".join(lines) + "\n"
