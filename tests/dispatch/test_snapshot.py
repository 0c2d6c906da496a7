"""From a configuration to what is served: names, prices, keys, and what is said when one of them is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.catalog import capabilities, token_price
from trimaran.config import load, load_text
from trimaran.dispatch.lookup import refuse_loop, resolve
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError, UnknownModel
from trimaran.providers import PROVIDERS
from trimaran.types import Capabilities, Limits, ServerLimits, Slo, Snapshot

KEYS = {"OPENAI_API_KEY": "sk-canary-openai-0123456789", "ANTHROPIC_API_KEY": "sk-canary-anthropic-01234567"}
ENV = {"HOME": "/h", **KEYS, "TEAM_A_KEY": "canary-of-team-a-0123", "TEAM_B_KEY": "canary-of-team-b-0123"}


def served(text: str, environ: Mapping[str, str] = ENV) -> Snapshot:
    return build_snapshot(load_text(text, "t.yaml", environ), environ, version=7)


def discovered(environ: Mapping[str, str]) -> Snapshot:
    environ = {"HOME": "/h", **environ}
    return build_snapshot(load(None, environ), environ, version=1)


def problems(text: str, environ: Mapping[str, str] = ENV) -> list[ConfigError]:
    with pytest.raises(ConfigError) as caught:
        served(text, environ)
    assert "canary" not in str(caught.value)
    return list(caught.value.problems) or [caught.value]


def only(text: str, environ: Mapping[str, str] = ENV) -> ConfigError:
    found = problems(text, environ)
    assert len(found) == 1, found
    return found[0]


# Without a file


def test_without_a_file_everything_the_credentials_reach() -> None:
    snapshot = discovered(KEYS)
    assert list(snapshot.wildcards) == ["openai", "anthropic"]
    policy, targets = resolve(snapshot, "auto")
    assert (policy.strategy, policy.targets) == (
        "fastest",
        ("openai/gpt-4o-mini", "anthropic/claude-haiku-4-5-20251001"),
    )
    assert [target.dialects for target in targets] == [PROVIDERS[name].dialects for name in ("openai", "anthropic")]
    assert [target.price for target in targets] == [
        token_price("openai", "gpt-4o-mini"),
        token_price("anthropic", "claude-haiku-4-5-20251001"),
    ]
    assert [target.max_output_tokens for target in targets] == [None, 64000]
    assert snapshot.secrets == {"openai": KEYS["OPENAI_API_KEY"], "anthropic": KEYS["ANTHROPIC_API_KEY"]}
    assert not snapshot.require_key
    assert snapshot.warnings == ()


def test_any_model_behind_a_wildcard() -> None:
    policy, (target,) = resolve(discovered(KEYS), "openai/gpt-4o")
    assert (policy.name, policy.targets) == ("openai/gpt-4o", ("openai/gpt-4o",))
    assert (target.upstream_model, target.credential) == ("gpt-4o", "openai")
    assert target.price == token_price("openai", "gpt-4o")
    _, (target,) = resolve(discovered({"GROQ_API_KEY": "k"}), "groq/openai/gpt-oss-20b")
    assert (target.upstream_model, target.base_url) == ("openai/gpt-oss-20b", "https://api.groq.com/openai")
    # A model that the catalogue does not know costs nobody knows what, not nothing.
    assert resolve(discovered(KEYS), "openai/unheard-of")[1][0].price is None


def test_a_bare_name_finds_its_provider() -> None:
    snapshot = discovered({**KEYS, "GROQ_API_KEY": "k", "OPENROUTER_API_KEY": "k"})
    assert resolve(snapshot, "gpt-4o-mini")[1][0].id == "openai/gpt-4o-mini"
    assert resolve(snapshot, "claude-haiku-4-5-20251001")[1][0].id == "anthropic/claude-haiku-4-5-20251001"
    with pytest.raises(UnknownModel):
        resolve(snapshot, "unheard-of")
    with pytest.raises(UnknownModel):
        resolve(discovered({"ANTHROPIC_API_KEY": "k"}), "gpt-4o-mini")


def test_nothing_found_says_what_to_set() -> None:
    snapshot = discovered({})
    assert (snapshot.models, snapshot.wildcards) == ({}, {})
    assert "OPENAI_API_KEY, ANTHROPIC_API_KEY" in snapshot.warnings[0]
    with pytest.raises(UnknownModel, match="no provider's credential was found"):
        resolve(snapshot, "auto")


def test_a_provider_without_a_default_stays_out_of_auto() -> None:
    snapshot = discovered({"XAI_API_KEY": "k"})
    assert "auto" not in snapshot.models
    assert resolve(snapshot, "xai/grok-4.3")[1][0].base_url == "https://api.x.ai"


def test_configured_providers_join_what_is_discovered() -> None:
    snapshot = served(
        "providers: {vllm: {base_url: http://127.0.0.1:8000/v1, default_model: llama}, groq: {region: eu}}"
    )
    assert list(snapshot.wildcards) == ["openai", "anthropic", "vllm"]
    assert snapshot.models["auto"].targets[-1] == "vllm/llama"
    assert snapshot.targets["vllm/llama"].price is None
    assert "vllm" not in snapshot.secrets
    assert snapshot.warnings == (
        "groq is configured, but has no credential; tried providers.groq.api_key, GROQ_API_KEY",
    )


# With a file


def test_with_models_nothing_else_is_served() -> None:
    snapshot = served(
        """
limits: {deadline: 60s}
models:
  chat: {strategy: ordered, targets: [openai/gpt-4o-mini, anthropic/claude-haiku-4-5-20251001], limits: {ttft: 3s}}
  open/*: {targets: [openai/*]}
server: {max_body: 1MiB}
"""
    )
    assert snapshot.version == 7
    policy, targets = resolve(snapshot, "chat")
    assert (policy.strategy, policy.limits) == ("ordered", Limits(deadline_s=60, ttft_s=3))
    assert [target.id for target in targets] == list(policy.targets)
    policy, (target,) = resolve(snapshot, "open/gpt-4o")
    assert (target.id, policy.limits) == ("openai/gpt-4o", Limits(deadline_s=60))
    assert snapshot.server == ServerLimits(max_body_bytes=2**20)
    for name in ("auto", "gpt-4o-mini", "openai/gpt-4o", "anthropic/x", "open/", "open", "*", "open/*", "open/a b", ""):
        with pytest.raises(UnknownModel, match="served: chat, open/<model>"):
            resolve(snapshot, name)


def test_a_price_of_ones_own_replaces_the_catalogues_everywhere() -> None:
    text = """
providers:
  openai: {prices: {gpt-4o-mini: {input: 1 USD/1M, output: 2 USD/1M, request: 0.01 USD, as_of: 2026-01-31}}}
  vllm: {base_url: http://127.0.0.1:1, prices: {m: {input: 1 USD/1M, output: 2 USD/1M, cached_read: 0.1 USD/1M}}}
  heard: {base_url: http://127.0.0.1:1, prices: {m: {input: $1/1M, output: $2/1M, audio_input: $30/1M, audio_output: $60/1M}}}
"""
    price = served(text).targets["openai/gpt-4o-mini"].price
    assert price is not None
    for name in ("auto", "openai/gpt-4o-mini", "gpt-4o-mini"):
        assert resolve(served(text), name)[1][0].price == price
    tier = price.tiers[0]
    assert (tier.input, tier.output, tier.cached_read, price.request) == (1_000_000, 2_000_000, None, 10**10)
    assert price.as_of == "2026-01-31"
    assert price.source == "configuration (t.yaml:3)"
    other = resolve(served(text), "vllm/m")[1][0].price
    assert other is not None
    assert other.tiers[0].cached_read == 100_000
    heard = resolve(served(text), "heard/m")[1][0].price
    assert heard is not None
    assert (heard.tiers[0].audio_input, heard.tiers[0].audio_output) == (30_000_000, 60_000_000)
    # The version names the figures, so that a changed price is another version.
    changed = resolve(served(text.replace("output: 2 USD", "output: 3 USD")), "auto")[1][0].price
    assert changed is not None
    assert changed.version != price.version


def test_a_target_knows_what_its_model_can_do() -> None:
    snapshot = served(
        "models: {chat: {targets: [openai/gpt-4o, anthropic/claude-opus-4-6]}, open/*: {targets: [openai/*]}}"
    )
    _, targets = resolve(snapshot, "chat")
    assert [target.capabilities for target in targets] == [capabilities("gpt-4o"), capabilities("claude-opus-4-6")]
    assert targets[0].capabilities is not None
    assert resolve(snapshot, "open/o3")[1][0].capabilities == capabilities("o3")
    assert resolve(snapshot, "open/unheard-of")[1][0].capabilities is None
    assert resolve(discovered(KEYS), "claude-haiku-4-5")[1][0].capabilities == capabilities("claude-haiku-4-5")


def test_stated_capabilities_are_laid_over_the_catalogues_wherever_the_model_is_served() -> None:
    text = """
models: {chat: {targets: [openai/gpt-4o, vllm/mine]}, open/*: {targets: [openai/*]}, vllm/*: {targets: [vllm/*]}}
providers:
  openai: {capabilities: {gpt-4o: {lacks: [vision]}, o3: {context_tokens: 1000}}}
  vllm:
    base_url: http://127.0.0.1:1
    capabilities: {mine: {has: [tools], max_output_tokens: 2048, reasoning: effort}, org/other: {lacks: [tools]}}
    prices: {mine: {input: 1 USD/1M, output: 1 USD/1M}}
"""
    snapshot = served(text)
    gpt, mine = resolve(snapshot, "chat")[1]
    known = capabilities("gpt-4o")
    assert known is not None
    assert gpt.capabilities is not None
    assert (gpt.capabilities.has, gpt.capabilities.family) == (known.has - {"vision"}, "gpt-4o")
    assert gpt.capabilities.source.startswith("configuration (t.yaml:4); ")
    assert mine.capabilities == Capabilities(
        family="mine",
        has=frozenset({"tools", "reasoning"}),
        max_output_tokens=2048,
        reasoning_control="effort",
        source="configuration (t.yaml:7)",
    )
    assert mine.max_output_tokens == 2048
    assert mine.price is not None
    behind = resolve(snapshot, "open/o3")[1][0].capabilities
    assert behind is not None
    assert (behind.context_tokens, behind.reasoning_control) == (1000, "effort")
    other = resolve(snapshot, "vllm/org/other")[1][0].capabilities
    assert other is not None
    assert other.lacks == {"tools"}


def test_the_longest_answer_is_the_models_then_the_providers_then_the_catalogues() -> None:
    text = """
providers:
  mine:
    dialects: anthropic.messages
    base_url: http://127.0.0.1:1
    max_output_tokens: 1000
    capabilities: {a: {max_output_tokens: 500}, b: {has: [tools]}}
  yours: {dialects: anthropic.messages, base_url: http://127.0.0.1:1}
"""
    snapshot = served(text)
    limits = {
        name: resolve(snapshot, name)[1][0].max_output_tokens for name in ("mine/a", "mine/b", "mine/claude-opus-5")
    }
    assert limits == {"mine/a": 500, "mine/b": 1000, "mine/claude-opus-5": 1000}
    assert resolve(snapshot, "yours/claude-opus-5")[1][0].max_output_tokens == 128000
    assert resolve(snapshot, "yours/unheard-of")[1][0].max_output_tokens == 4096


def test_a_provider_that_is_called_like_a_vendor_does_not_get_its_prices() -> None:
    snapshot = served("providers: {novita: {base_url: http://127.0.0.1:1}}")
    assert token_price("novita", "baidu/cobuddy") is not None
    assert resolve(snapshot, "novita/baidu/cobuddy")[1][0].price is None


def test_what_a_provider_was_configured_with_reaches_its_targets() -> None:
    snapshot = served(
        """
models: {chat: {targets: [mine/m]}}
providers:
  mine:
    dialects: [anthropic.messages]
    base_url: https://mine.example/v1
    api_key: "${TEAM_A_KEY}"
    headers: {X-Team: "${TEAM_B_KEY}"}
    region: eu-west-1
    max_output_tokens: 1000
    simulated: true
"""
    )
    target = snapshot.targets["mine/m"]
    assert (target.dialects, target.base_url, target.region) == (
        ("anthropic.messages",),
        "https://mine.example",
        "eu-west-1",
    )
    assert (target.max_output_tokens, target.simulated, target.credential) == (1000, True, "mine")
    assert snapshot.secrets == {"mine": ENV["TEAM_A_KEY"]}
    assert snapshot.headers == {"mine": (("X-Team", ENV["TEAM_B_KEY"]),)}


def test_keys_become_digests() -> None:
    digest = hashlib.sha256(b"other").hexdigest()
    snapshot = served(
        f"""
models: {{chat: {{targets: [openai/gpt-4o-mini]}}, o/*: {{targets: [openai/*]}}}}
keys:
  a: {{key: "${{TEAM_A_KEY}}", tags: {{z: "1", b: "2"}}, models: [chat, o/gpt-4o]}}
  b: {{digest: "sha256:{digest}", tenant: acme}}
"""
    )
    first, second = snapshot.keys
    assert (first.id, first.tags, first.models) == ("a", (("b", "2"), ("z", "1")), ("chat", "o/gpt-4o"))
    assert first.digest == hashlib.sha256(ENV["TEAM_A_KEY"].encode()).digest()
    assert (second.digest.hex(), second.tenant, second.models) == (digest, "acme", ())
    assert snapshot.require_key


def test_a_snapshot_travels_and_does_not_show_itself() -> None:
    snapshot = served('keys: {a: {key: "${TEAM_A_KEY}"}}\nproviders: {openai: {headers: {x-t: "${TEAM_B_KEY}"}}}')
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot) == snapshot
    assert "canary" not in repr(snapshot)
    assert "canary" not in repr((snapshot.targets, snapshot.models, snapshot.wildcards, snapshot.warnings))


# What is said about mistakes


@pytest.mark.parametrize(
    ("text", "where", "said", "hint"),
    [
        ("models:\n  a:\n    targets:\n    - opnai/x", "t.yaml:4", "unknown provider 'opnai'", "did you mean openai?"),
        (
            "models: {a: {targets: [x/y]}}",
            "t.yaml:1",
            "models.a.targets[0]: unknown provider 'x'",
            "entry in providers",
        ),
        ("models: {a: {targets: [pool/y]}}", "t.yaml:1", "pools are not part of this version", "base_url"),
        ("models: {a: {targets: [kserve/y]}}", "t.yaml:1", "the provider kserve is not part", "remove it"),
        ("models: {a: {targets: [groq/y]}}", "t.yaml:1", "there is no credential for groq", "export GROQ_API_KEY=..."),
        ("models: {g/*: {targets: [groq/*]}}", "t.yaml:1", "there is no credential for groq", "providers.groq.api_key"),
        (
            "models:\n  a:\n    strategy: fastst\n    targets: [openai/x]",
            "t.yaml:3",
            "models.a.strategy: unknown strategy 'fastst'",
            "did you mean fastest? Known: fastest, ordered, cheapest, weighted",
        ),
        ("providers: {p: {region: x}}", "t.yaml:1", "providers.p.base_url is missing", "base_url: https://"),
        ("providers: {p: {base_url: 'http://x', dialects: [openai]}}", "t.yaml:1", "unknown dialect", "openai.chat"),
        (
            'keys:\n  a:\n    key: "${TEAM_A_KEY}"\n    models:\n      - nope',
            "t.yaml:5",
            "keys.a.models[0]: model 'nope' is not served here",
            "",
        ),
    ],
)
def test_a_name_that_leads_nowhere(text: str, where: str, said: str, hint: str) -> None:
    found = only(text)
    assert said in str(found)
    assert hint in found.hint
    assert where in found.where


def test_all_of_them_at_once_and_each_provider_once() -> None:
    found = problems("models: {a: {targets: [x/1, x/2, groq/1]}, b: {strategy: s, targets: [x/3, groq/1]}}")
    assert len(found) == 3


def test_a_broken_variable_matters_only_where_it_is_used() -> None:
    environ = {**ENV, "GROQ_API_KEY": "canary\nx", "OPENAI_BASE_URL": "nonsense"}
    assert served("models: {a: {targets: [anthropic/x]}}", environ).models
    found = problems("", environ)
    assert sorted(error.where for error in found) == ["GROQ_API_KEY", "OPENAI_BASE_URL"]


@pytest.mark.parametrize(
    ("url", "port", "loops"),
    [
        ("http://127.0.0.1:4000/v1", 4000, True),
        ("http://localhost:4000", 4000, True),
        ("http://[::1]:4000/v1", 4000, True),
        ("http://127.0.0.1:4001/v1", 4000, False),
        ("http://192.0.2.1:4000/v1", 4000, False),
        ("https://api.openai.com/v1", 4000, False),
    ],
)
def test_a_gateway_does_not_call_itself(url: str, port: int, loops: bool) -> None:
    environ = {**ENV, "OPENAI_BASE_URL": url}
    config = load(None, environ, {"server.port": port})
    snapshot = build_snapshot(config, environ, 1)
    if loops:
        with pytest.raises(ConfigError, match="is this gateway itself") as caught:
            refuse_loop(snapshot, config.server)
        assert "OPENAI_BASE_URL" in caught.value.where
    else:
        refuse_loop(snapshot, config.server)


@given(st.text(max_size=250))
def test_any_name_is_served_or_unknown(name: str) -> None:
    snapshot = _EVERYTHING
    try:
        policy, targets = resolve(snapshot, name)
    except UnknownModel:
        return
    assert policy.targets == tuple(target.id for target in targets)
    assert all(target.id.isascii() and target.id.isprintable() and " " not in target.id for target in targets)


_EVERYTHING = discovered(KEYS)


# Strategies


def test_weights_are_one_for_each_target_in_order_and_default_to_one() -> None:
    text = "models: {a: {strategy: weighted, targets: [openai/x, anthropic/y, openai/z], weights: {anthropic/y: 0.5}}}"
    policy, _ = resolve(served(text), "a")
    assert (policy.strategy, policy.weights) == ("weighted", (1.0, 0.5, 1.0))


def test_an_slo_becomes_percentiles_and_seconds() -> None:
    text = (
        "models: {a: {strategy: cheapest, targets: [openai/gpt-4o], slo: {ttft_p99: 2s, ttft_p50: 300ms, e2e_p95: 1m}}}"
    )
    policy, _ = resolve(served(text), "a")
    assert policy.slo == Slo(ttft=((0.5, 0.3), (0.99, 2.0)), e2e=((0.95, 60.0),))


def test_cheapest_warns_of_a_price_that_is_unknown() -> None:
    text = """
models: {a: {strategy: cheapest, targets: [openai/gpt-4o, openai/no-such-model, openai/own]}}
providers: {openai: {prices: {own: {input: 1 USD/1M, output: 1 USD/1M}}}}
"""
    (warning,) = served(text).warnings
    assert warning.startswith("models.a: the price of openai/no-such-model is unknown, so it is never the cheapest")


@pytest.mark.parametrize(
    "name", ["localhost:6000/x", "evil.example.com/x", "127.0.0.1:9/x", "somebodys-endpoint", "a@b"]
)
def test_a_clients_name_never_says_which_host_is_asked(name: str) -> None:
    snapshot = served("providers: {azure_ml: {region: westeurope, api_key: '${K}'}}", {"K": "key"})
    assert "azure_ml" in snapshot.wildcards
    with pytest.raises(UnknownModel):
        resolve(snapshot, f"azure_ml/{name}")
