"""The file that ``trimaran init`` writes works as it is, whatever is in the environment."""

from __future__ import annotations

import itertools
import re

import pytest
import yaml

from trimaran.cli.init import template
from trimaran.config import load_text
from trimaran.dispatch.lookup import resolve
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.providers import PROVIDERS
from trimaran.types import Snapshot

# A cloud is known by a place as well as by a credential.
KEYED = [row for row in PROVIDERS.values() if not row.cloud]
VARIABLES = [row.key_env[0] for row in KEYED]
SOME = [combination for n in (0, 1, 2, len(VARIABLES)) for combination in itertools.combinations(VARIABLES, n)]


def served(text: str, environ: dict[str, str]) -> Snapshot:
    config = load_text(text, "trimaran.yaml", environ)
    assert config.warnings == ()
    return build_snapshot(config, environ, 1)


@pytest.mark.parametrize("variables", SOME, ids=" ".join)
def test_it_loads_and_serves_what_the_credentials_reach(variables: tuple[str, ...]) -> None:
    environ = {"HOME": "/h", **dict.fromkeys(variables, "sk-canary-0123456789abcdef")}
    text = template(environ)
    assert "canary" not in text
    snapshot = served(text, environ)
    expected = [row for row in KEYED if row.key_env[0] in variables]
    assert list(snapshot.wildcards) == [row.name for row in expected]
    default = [f"{row.name}/{row.default_model}" for row in expected if row.default_model]
    if default:
        assert list(resolve(snapshot, "chat" if variables else "auto")[0].targets) == default


def test_what_is_commented_out_works_once_it_is_not() -> None:
    environ = {"HOME": "/h", "OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "TEAM_A_KEY": "k" * 20}
    for text in (template({}), template(environ)):
        snapshot = served("\n".join(_switched_on(line) for line in text.splitlines()), environ)
        assert list(snapshot.models) == ["chat"]
        assert list(snapshot.wildcards) == ["openai", "anthropic"]
        assert snapshot.require_key
        assert snapshot.models["chat"].limits.deadline_s == 30


def _switched_on(line: str) -> str:
    """The line without the signs before a setting; a sentence stays a comment."""
    bare = re.sub(r"^(?:# )?( *)(?:# )?(?= *[\w-]+(?:/\*)?:(?: |$))", r"\1", line)
    return bare if _is_yaml(bare) else line


def _is_yaml(line: str) -> bool:
    try:
        return isinstance(yaml.safe_load(line), dict)
    except yaml.YAMLError:
        return False


def test_it_shows_the_true_defaults() -> None:
    text = template({})
    for line in ("#   deadline: 10m", "#   max_attempts: 4", "#   port: 4000", "#   host: 127.0.0.1"):
        assert line in text
