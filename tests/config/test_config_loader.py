"""What a configuration means, and what is said when it means nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from trimaran.config import CapabilitiesConfig, Config, find_file, load, load_mapping, load_text, overridable
from trimaran.errors import ConfigError
from trimaran.types import Limits, Secret, ServerLimits

ENV = {"HOME": "/users/someone", "TEAM_A_KEY": "a-key-that-is-long-enough", "EMPTY": ""}


def problems(text: str, environ: dict[str, str] | None = None) -> list[ConfigError]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "t.yaml", {**ENV, **(environ or {})})
    return list(caught.value.problems) or [caught.value]


def only(text: str, environ: dict[str, str] | None = None) -> ConfigError:
    found = problems(text, environ)
    assert len(found) == 1, found
    return found[0]


def read(text: str, environ: dict[str, str] | None = None) -> Config:
    return load_text(text, "t.yaml", {**ENV, **(environ or {})})


# What it means


def test_nothing_gives_the_defaults() -> None:
    config = load(None, ENV)
    assert config == load_text("", "", ENV)
    assert (config.server.host, config.server.port, config.server.admin_port) == ("127.0.0.1", 4000, 4001)
    assert config.limits.limits() == Limits()
    assert config.server.limits() == ServerLimits()
    assert config.ledger.dir == "/users/someone/.local/state/trimaran"
    assert (config.models, config.providers, config.keys, config.warnings) == ({}, {}, {}, ())


def test_a_whole_file() -> None:
    config = read(
        """
models:
  chat:
    strategy: ordered
    targets: [openai/gpt-4o-mini, anthropic/claude-haiku-4-5-20251001]
    slo: {ttft_p95: 1s}
    limits: {deadline: 30s}
limits: {ttft: 10s, max_cost: 0.05 USD}
providers:
  vllm:
    base_url: http://127.0.0.1:8000/v1/
    prices: {llama: {input: 0.10 USD/1M, output: 0.30 USD/1M, as_of: 2026-01-31}}
keys:
  team-a: {key: "${TEAM_A_KEY}", tags: {cost_center: 42}}
server: {port: 5000, max_body: 1MiB}
"""
    )
    chat = config.models["chat"]
    assert chat.targets == ("openai/gpt-4o-mini", "anthropic/claude-haiku-4-5-20251001")
    assert (chat.strategy, chat.slo) == ("ordered", {"ttft_p95": 1.0})
    # Its own limit, the general ones of the file, and the defaults.
    assert chat.limits.limits() == Limits(deadline_s=30, ttft_s=10, max_cost_nanos=50_000_000)
    assert config.providers["vllm"].base_url == "http://127.0.0.1:8000/v1"
    assert config.providers["vllm"].prices["llama"][0].output_picos == 300_000
    assert config.keys["team-a"].digest == hashlib.sha256(b"a-key-that-is-long-enough").digest()
    assert config.keys["team-a"].key is None
    assert config.keys["team-a"].tags == {"cost_center": "42"}
    assert (config.server.port, config.server.admin_port, config.server.max_body_bytes) == (5000, 5001, 2**20)


def test_a_single_dialect_needs_no_list() -> None:
    config = read("providers: {p: {dialects: anthropic.messages}, q: {dialects: [openai.chat, openai.embeddings]}}")
    assert config.providers["p"].dialects == ("anthropic.messages",)
    assert config.providers["q"].dialects == ("openai.chat", "openai.embeddings")


def test_what_a_model_of_ones_own_can_do() -> None:
    config = read(
        """
providers:
  p:
    capabilities:
      org/my-model:8b: {has: [tools, json_schema], lacks: [vision], context_tokens: 32768, reasoning: effort}
      other:
"""
    )
    stated = config.providers["p"].capabilities
    assert stated["org/my-model:8b"] == CapabilitiesConfig(
        has=("tools", "json_schema"), lacks=("vision",), context_tokens=32768, reasoning="effort"
    )
    assert stated["other"] == CapabilitiesConfig()
    assert config.where("providers", "p", "capabilities", "org/my-model:8b", "lacks", 0) == "t.yaml:5"


def test_limits_are_inherited_wherever_they_stand_in_the_file() -> None:
    config = read("models: {a: {targets: [x/y]}}\nlimits: {deadline: 5s}\n")
    assert config.models["a"].limits.deadline_s == 5


def test_every_value_knows_its_line() -> None:
    config = read("models:\n  chat:\n    targets:\n      - openai/a\n      - openai/b\n")
    assert config.where("models", "chat") == "t.yaml:2"
    assert config.where("models", "chat", "targets", 1) == "t.yaml:5"
    # What is not written stands where the thing around it does.
    assert config.where("models", "chat", "strategy") == "t.yaml:2"
    assert config.where("server", "port") == "server.port"


def test_later_sources_win() -> None:
    text = "server: {port: 1000, workers: 2, host: 127.0.0.2}"
    environ = {**ENV, "TRIMARAN_SERVER_PORT": "2000", "TRIMARAN_SERVER_WORKERS": "3"}
    config = load_text(text, "t.yaml", environ, {"server.port": 3000, "server.host": None})
    assert (config.server.port, config.server.workers, config.server.host) == (3000, 3, "127.0.0.2")
    assert config.where("server", "port") == "--port"
    assert config.where("server", "workers") == "TRIMARAN_SERVER_WORKERS"
    assert config.where("server", "host") == "t.yaml:1"


def test_an_override_is_taken_literally() -> None:
    assert problems("", {"TRIMARAN_LEDGER_DIR": "${HOME}/x"})[0].where == "TRIMARAN_LEDGER_DIR"


def test_overridable_settings_are_the_single_ones() -> None:
    assert overridable()["server.admin_port"] == ("TRIMARAN_SERVER_ADMIN_PORT", "--admin-port")
    assert overridable()["limits.max_cost"] == ("TRIMARAN_LIMITS_MAX_COST", "")
    assert not any(name.startswith(("models", "keys", "providers")) for name in overridable())


def test_the_admin_port_follows_the_port_unless_it_is_given() -> None:
    assert read("server: {port: 0}").server.admin_port == 0
    assert read("server: {port: 7000}").server.admin_port == 7001
    assert read("server: {port: 7000, admin_port: 4001}").server.admin_port == 4001
    assert load_mapping({"server": {"port": 7000, "admin_port": 4001}}, ENV).server.admin_port == 4001
    assert load(None, ENV, {"server.port": 7000, "server.admin_port": 4001}).server.admin_port == 4001


def test_the_ledger_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read("", {"XDG_STATE_HOME": "/state"}).ledger.dir == "/state/trimaran"
    assert read("", {"XDG_STATE_HOME": "relative"}).ledger.dir == "/users/someone/.local/state/trimaran"
    assert read("ledger: {dir: ~/x}").ledger.dir == "/users/someone/x"
    monkeypatch.setattr("os.path.expanduser", lambda _: "/users/of-the-database")
    assert read("", {"HOME": ""}).ledger.dir == "/users/of-the-database/.local/state/trimaran"
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert only("", {"HOME": ""}).message == "cannot be chosen: there is no home folder"
    assert read("ledger: {dir: /data}", {"HOME": ""}).ledger.dir == "/data"


def test_python_data_is_read_like_a_file() -> None:
    config = load_mapping({"models": {"chat": {"targets": ["openai/a"], "limits": {"max_attempts": 2}}}}, ENV)
    assert config.models["chat"].limits.max_attempts == 2
    with pytest.raises(ConfigError) as caught:
        load_mapping({"models": {"chat": {"targets": []}}}, ENV)
    assert caught.value.where == "models.chat.targets"
    with pytest.raises(ConfigError, match="a set cannot be part of a configuration"):
        load_mapping({"models": {"a", "b"}}, ENV)


def test_json_is_yaml() -> None:
    assert read('{"server": {"port": 5000}}').server.port == 5000


def test_names_are_not_mistaken_for_flags_or_numbers() -> None:
    config = read("models: {no: {targets: [x/yes]}, 1.5: {targets: [x/0o17]}}")
    assert {name: model.targets for name, model in config.models.items()} == {"no": ("x/yes",), "1.5": ("x/0o17",)}


def test_an_anchor_may_be_used_twice() -> None:
    config = read("models: {a: {targets: &t [x/y]}, b: {targets: *t}}")
    assert config.models["a"].targets == config.models["b"].targets == ("x/y",)


# References


def test_references_are_resolved() -> None:
    config = read(
        'providers: {p: {base_url: "http://${HOST:-localhost}:${PORT}/x", api_key: "Token ${T}"}}',
        {"PORT": "8000", "T": "abc"},
    )
    assert config.providers["p"].base_url == "http://localhost:8000/x"
    assert config.providers["p"].api_key == Secret("Token abc")


def test_what_a_variable_holds_cannot_change_the_structure() -> None:
    found = only('ledger: {dir: "${X}"}', {"X": "/a}\nserver: {host: 0.0.0.0"})
    assert found.where == "t.yaml:1"
    assert "ledger.dir" in found.message


def test_a_doubled_dollar_stands_for_itself() -> None:
    assert read('keys: {a: {key: "${K}", tags: {t: "$${x}"}}}', {"K": "k" * 20}).keys["a"].tags["t"] == "${x}"


def test_a_credential_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("s3cret-from-a-file\n")
    assert read(f"providers: {{p: {{api_key: '${{file:{secret}}}'}}}}").providers["p"].api_key == Secret(
        "s3cret-from-a-file"
    )
    assert "cannot be read" in only(f"providers: {{p: {{api_key: '${{file:{tmp_path}/none}}'}}}}").message
    assert "credentials only" in only(f"ledger: {{dir: '${{file:{secret}}}'}}").message


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("${NOPE}", "NOPE is not set"),
        ("${EMPTY}", "EMPTY is empty"),
        ("${NOPE", "a '${' without its '}'"),
        ("${1x}", "not the name of an environment variable"),
        ("${}", "not the name of an environment variable"),
    ],
)
def test_a_reference_that_leads_nowhere(reference: str, said: str) -> None:
    found = only(f"server:\n  host: '{reference}'\n")
    assert said in found.message
    assert found.where == "t.yaml:2"


# What is said about mistakes


def test_all_mistakes_at_once() -> None:
    found = problems("model: 1\nserver: {port: banana, hosts: x}\nlimits: {deadline: 30}\nkeys: {a: {}}\n")
    assert [error.where for error in found] == ["t.yaml:1", "t.yaml:3", "t.yaml:2", "t.yaml:2"]
    text = str(problems_error("model: 1\nserver: {port: banana}\n"))
    assert text.startswith("2 problems in t.yaml\nt.yaml:1: unknown setting 'model'\n")


def problems_error(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "t.yaml", ENV)
    return caught.value


def test_no_more_than_twenty() -> None:
    error = problems_error("\n".join(f"wrong{number}: 1" for number in range(50)))
    assert len(error.problems) == 20
    assert error.message == "50 problems in t.yaml (the first 20 follow)"


def test_an_unknown_setting_names_the_closest_one_and_all() -> None:
    found = only("limits: {ttftt: 3s}")
    assert found.message == "unknown setting 'ttftt' in limits"
    assert found.hint == "did you mean ttft? Known: deadline, connect, ttft, idle, max_attempts, max_cost"
    with pytest.raises(ConfigError) as caught:
        load(None, ENV, {"server.prt": 1})
    assert "did you mean server.port?" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("a: b: c", "t.yaml:1:5", "a second ': ' on one line"),
        ("models:\n\tchat: {}", "t.yaml:2:1", "cannot start a value"),
        ("models: [a", "t.yaml:2:1", "a bracket that is never closed"),
        ("models: 'a", "t.yaml:1:11", "a quote that is never closed"),
        ("a: 1\n---\nb: 2", "t.yaml:2:1", "a second document"),
        ("server: *x", "t.yaml:1:9", "an alias without its anchor"),
        ("server: {port: 1}\n  x: 2", "t.yaml:2", "not valid YAML"),
        ("[" * 5000, "t.yaml:1:1001", "nested too deeply"),
        ("- " * 900, "t.yaml:1", "nested too deeply"),
        ("a: \x00", "t.yaml:1", "a control character"),
        ("a: \ud800", "t.yaml", "not valid YAML"),
        ("server: &a [*a]", "t.yaml:1", "contains itself"),
        ("server: !!python/object:os.system {}", "t.yaml:1", "YAML tags"),
        ("server: !secret x", "t.yaml:1", "YAML tags"),
        ("? [a]\n: b", "t.yaml:1", "must be plain text"),
        ("server:\n  <<: {port: 1}", "t.yaml:2", "merge keys"),
        ("server: {}\nserver: {}", "t.yaml:2", "written twice (first at t.yaml:1)"),
        ("- a", "t.yaml:1", "expected sections, found a list"),
        ("just text", "t.yaml:1", "expected sections, found text"),
    ],
)
def test_broken_yaml(text: str, where: str, said: str) -> None:
    found = only(text)
    assert said in found.message
    assert found.where.startswith(where)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("server: {port: banana}", "server.port: expected a whole number from 0 to 65535", "for example: 4000"),
        ("server: {port: 65536}", "server.port: expected a whole number from 0 to 65535", "for example: 4000"),
        ("server: {port: [1]}", "server.port: expected a whole number from 0 to 65535, found a list", "4000"),
        ("server: {port: }", "server.port has no value; expected a whole number", "4000"),
        ("limits: {deadline: 30}", "limits.deadline: expected a duration with its unit", "30s"),
        ("limits: {deadline: 2d}", "limits.deadline: expected a duration from 100ms to 1d", "30s"),
        ("limits: {max_cost: 5 USD/month}", "limits.max_cost: expected an amount in USD, without a period", "0.05 USD"),
        ("limits: {max_cost: 1000001 USD}", "an amount of at most 1000000 USD", "0.05 USD"),
        (
            "providers: {p: {prices: {m: {input: 2 USD/token, output: 0 USD/1M}}}}",
            "providers.p.prices.m.input: expected a price of at most 1 USD for one token",
            "0.15 USD/1M",
        ),
        ("models: {chat: {}}", "models.chat.targets is missing", "targets: [openai/gpt-4o-mini]"),
        ("models: {chat: {targets: []}}", "models.chat.targets: expected a list of targets", "[openai/gpt-4o-mini]"),
        ("models: {chat: {targets: openai/x}}", "expected a list of targets, found text", "[openai/gpt-4o-mini]"),
        ("models: {chat: {targets: [gpt]}}", "models.chat.targets[0]: expected a target", "openai/gpt-4o-mini"),
        ("models: {chat: {targets: [a/b, a/b]}}", "models.chat.targets[1] is listed twice", "keep one"),
        (
            "models: {chat: {targets: [a/b], weights: {b: 1}}}",
            "this name cannot be used; expected one of the model's",
            "",
        ),
        (
            "models: {chat: {strategy: weighted, targets: [a/b], weights: {a/b: -1}}}",
            "models.chat.weights.a/b: expected a number from 0 to 1000000",
            "for example: 3",
        ),
        (
            "models: {chat: {strategy: weighted, targets: [openai/gpt, groq/x], weights: {openai/gpd: 1}}}",
            "models.chat.weights.openai/gpd: is none of the model's targets",
            "did you mean openai/gpt? Targets: openai/gpt, groq/x",
        ),
        (
            "models: {chat: {targets: [a/b], weights: {a/b: 1}}}",
            "models.chat.weights: the strategy fastest has no use for them",
            "write strategy: weighted",
        ),
        (
            "models: {chat: {strategy: weighted, targets: [a/b, a/c], weights: {a/b: 0, a/c: 0.0}}}",
            "models.chat.weights: all weights are 0",
            "give one target at least 1",
        ),
        (
            "models: {a/*: {strategy: weighted, targets: [a/*], weights: {a/*: 2}}}",
            "models.a/*.weights: a model for any name has one target",
            "remove them",
        ),
        ("models: {chat: {targets: [a/b], slo: {p95: 1s}}}", "this name cannot be used; expected ttft, tpot", ""),
        ("models: {'a b': {targets: [a/b]}}", "this name cannot be used; expected a model's name", ""),
        ("models: {a/*: {targets: [a/b]}}", "needs exactly one target for any name", "[openai/*]"),
        ("models: {a: {targets: [a/*]}}", "a target for any name needs a model for any name", "a/*"),
        ("models: {a/*: {targets: [a/*], limits: {deadline: 3s}}}", "cannot have limits", "set them in limits"),
        ("providers: {p: {base_url: ftp://x}}", "expected an http:// or https:// URL", "https://llm.example.com"),
        ("providers: {p: {base_url: 'https://u:p@x'}}", "without credentials, query or fragment", ""),
        ("providers: {p: {base_url: 'https://x/?a=b'}}", "without credentials, query or fragment", ""),
        ("providers: {p: {base_url: 'https://x:0'}}", "usable port", ""),
        ("providers: {p: {base_url: 'https://x:99999'}}", "providers.p.base_url: expected", ""),
        ("providers: {p: {base_url: 'https://[::1'}}", "providers.p.base_url: expected", ""),
        ("providers: {p: {api_key: sk-123}}", "a credential must not stand in the file", "${NAME}"),
        (
            "providers: {p: {capacity: {hourly: 1 USD, amortised_hourly: 2 USD}}}",
            "is more than hourly",
            "the whole price",
        ),
        ("providers: {p: {capacity: {amortised_hourly: 2 USD}}}", "is more than hourly", ""),
        ("providers: {p: {capacity: {purchase_option: spt}}}", "unknown purchase option", "did you mean spot?"),
        ("providers: {p: {headers: {host: '${HOME}'}}}", "this header is the gateway's own", "remove it"),
        ("providers: {p: {api_key: '${HOME}', headers: {Authorization: '${HOME}'}}}", "there are two credentials", ""),
        (
            "providers: {p: {capabilities: {m: {has: [vison]}}}}",
            "providers.p.capabilities.m.has[0]: unknown feature 'vison'",
            "did you mean vision? Known: chat, embeddings, tools",
        ),
        (
            "providers: {p: {capabilities: {m: {reasoning: efort}}}}",
            "providers.p.capabilities.m.reasoning: unknown way to set reasoning 'efort'",
            "did you mean effort? Known: effort, budget, adaptive",
        ),
        (
            "providers: {p: {capabilities: {m: {lacks: 3}}}}",
            "expected a list of features, found text",
            "[tools, vision]",
        ),
        (
            "providers: {p: {capabilities: {m: {has: [tools], lacks: [vision, tools]}}}}",
            "providers.p.capabilities.m.lacks[1]: tools stands in has, too",
            "keep one",
        ),
        (
            "providers: {p: {capabilities: {m: {lacks: [reasoning], reasoning: effort}}}}",
            "providers.p.capabilities.m.lacks[0]: reasoning cannot be lacking and be set",
            "remove it",
        ),
        ("providers: {p: {capabilities: {m: {context_tokens: 0}}}}", "expected a whole number from 1", "32768"),
        ("providers: {p: {capabilities: {'a b': {has: [tools]}}}}", "this name cannot be used; expected a model's", ""),
        ("providers: {p: {dialects: Open AI}}", "providers.p.dialects: expected a dialect", "openai.chat"),
        ("providers: {p: {dialects: []}}", "providers.p.dialects: expected a dialect or a list of dialects", ""),
        ("providers: {pool: {base_url: http://x}}", "the name pool is taken", ""),
        ("providers: {P: {base_url: http://x}}", "this name cannot be used", ""),
        ("keys: {a: {}}", "keys.a: needs either key or digest", "${A_KEY}"),
        ("keys: {a: {digest: sha256:abc}}", "expected sha256: and 64 lower-case hexadecimal digits", ""),
        ("keys: {a: {key: 'plain'}}", "a credential must not stand in the file", ""),
        ("providers: {p: {headers: {x-team-token: 'plain'}}}", "a credential must not stand in the file", ""),
        ("providers: {p: {headers: {Authorization: 'plain'}}}", "a credential must not stand in the file", ""),
        ("providers: {p: {headers: {x-team: 'sk-abcdefgh12345678'}}}", "a credential must not stand in the file", ""),
        ("pools: {a: {}}", "pools is not part of this version", "can be a provider"),
        ("plan: plan.yaml", "plan is not part of this version", "remove it"),
        ("ledger: {dir: x}", "expected a path that starts with", "/var/lib/trimaran"),
        ("server: {host: 'a b'}", "expected an IP address or a host name", "127.0.0.1"),
        ("server: {port: 65535}", "leaves no room for the admin port", "admin_port"),
        ("server: {port: 5000, admin_port: 5000}", "is the port of the gateway itself", "5001"),
    ],
)
def test_a_wrong_value(text: str, said: str, hint: str) -> None:
    found = only(text)
    assert said in found.message
    assert hint in found.hint
    assert found.where == "t.yaml:1"


def test_what_is_not_enforced_is_refused_not_ignored() -> None:
    found = problems("pools: {a: {}}\nplan: plan.yaml")
    assert [error.message for error in found] == [
        "pools is not part of this version",
        "plan is not part of this version",
    ]


def test_two_names_for_one_key() -> None:
    found = only('keys: {a: {key: "${TEAM_A_KEY}"}, b: {key: "${TEAM_A_KEY}"}}')
    assert found.message == "keys.b: is the same key as keys.a"


def test_a_container_needs_no_file_for_its_key() -> None:
    config = load(None, {**ENV, "TRIMARAN_KEY": "k" * 20, "TRIMARAN_SERVER_HOST": "0.0.0.0"})
    assert (list(config.keys), config.server.host) == (["default"], "0.0.0.0")


def test_a_configured_key_replaces_the_one_of_the_environment() -> None:
    config = read('keys: {a: {key: "${TEAM_A_KEY}"}}', {"TRIMARAN_KEY": "k" * 20})
    assert list(config.keys) == ["a"]


@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        (
            "models: {a: {targets: [x/y], slo: {ttft_p95: 1s}}}",
            {},
            "models.a.slo is recorded, but only the strategy cheapest acts on it, not fastest",
        ),
        ('keys: {a: {key: "${K}"}}', {"K": "short"}, "keys.a is shorter than 16 characters"),
        ('keys: {a: {key: "${K}"}}', {"K": " " + "k" * 20}, "spaces around the credential were removed"),
        ("", {"TRIMARAN_SERVER_PROT": "1"}, "'TRIMARAN_SERVER_PROT' is no setting; did you mean TRIMARAN_SERVER_PORT?"),
    ],
)
def test_warnings(text: str, environ: dict[str, str], said: str) -> None:
    (warning,) = read(text, environ).warnings
    assert said in warning


def test_kubernetes_service_variables_mean_nothing() -> None:
    environ = {
        "TRIMARAN_PORT": "tcp://10.0.0.1:4000",
        "TRIMARAN_SERVICE_PORT": "4000",
        "TRIMARAN_SERVICE_HOST": "10.0.0.1",
        "TRIMARAN_PORT_4000_TCP_PORT": "4000",
    }
    assert read("", environ) == read("")


def test_a_credential_with_a_line_break_is_refused() -> None:
    found = only('providers: {p: {api_key: "${K}"}}', {"K": "abc\r\nx-evil: 1"})
    assert "a line break" in found.message
    assert "evil" not in str(found)


# Files


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    with pytest.raises(ConfigError, match="no such file") as caught:
        load(str(missing), ENV)
    assert "trimaran init" in caught.value.hint
    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(tmp_path), ENV)
    with pytest.raises(ConfigError, match="not a usable path"):
        load("a\0b", ENV)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"models:\n  caf\xe9: {}\n")
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        load(str(latin), ENV)
    assert caught.value.where == f"{latin}:2"
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than 1024 KiB"):
        load(str(large), ENV)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(b"\xef\xbb\xbfserver: {port: 5000}\n")
    assert load(str(path), ENV).server.port == 5000


def test_the_file_that_is_used_when_none_is_named(tmp_path: Path) -> None:
    assert find_file({}, str(tmp_path)) is None
    (tmp_path / "trimaran.yaml").write_text("")
    assert find_file({}, str(tmp_path)) == str(tmp_path / "trimaran.yaml")
    assert find_file({"TRIMARAN_CONFIG": "/etc/t.yaml"}, str(tmp_path)) == "/etc/t.yaml"


def test_a_header_that_is_no_credential_may_stand_in_the_file() -> None:
    config = load_text("providers: {p: {headers: {X-Amzn-Bedrock-Service-Tier: priority}}}", "t.yaml", {"HOME": "/h"})
    assert config.providers["p"].headers["X-Amzn-Bedrock-Service-Tier"].reveal() == "priority"
