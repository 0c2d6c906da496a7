"""What a configured name of Bedrock's becomes, and what is said of a wrong one: always with what to write instead."""

from __future__ import annotations

import json

import pytest

from trimaran.config import load_text
from trimaran.dispatch.lookup import resolve
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError, UnsupportedFeature
from trimaran.providers.aws.bedrock_target import CONVERSE, bedrock_dialects, bedrock_target, check_bedrock_target
from trimaran.types import Snapshot, Target
from trimaran.wire import DIALECTS, translate

ENVIRON = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_CONFIG_FILE": "/nowhere",
}
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
LLAMA = "meta.llama3-1-8b-instruct-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl"
IMPORTED = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl"
CLAUDE = (*CONVERSE, "anthropic.messages", "anthropic.count_tokens")


def template(region: str = "us-east-1", api: str = "", dialects: tuple[str, ...] = CONVERSE) -> Target:
    facts = {"api": api} if api else {}
    return Target(
        "bedrock/*", "bedrock", "*", dialects, f"https://bedrock-runtime.{region}.amazonaws.com",
        region=region, kind="bedrock", door="bedrock", facts=facts,
    )  # fmt: skip


def snapshot(text: str, **environ: str) -> Snapshot:
    return build_snapshot(load_text(text, "trimaran.yaml", ENVIRON | environ), ENVIRON | environ, 1, day="2026-11-30")


def served(target: str, provider: str = "{region: us-east-1}") -> Snapshot:
    return snapshot(f'providers: {{bedrock: {provider}}}\nmodels: {{chat: {{targets: ["bedrock/{target}"]}}}}\n')


@pytest.mark.parametrize(
    ("model", "api", "dialects"),
    [
        (SONNET, "", CLAUDE),
        (SONNET, "converse", CONVERSE),
        (SONNET, "invoke", CLAUDE[1:]),
        (LLAMA, "", CONVERSE),
        (LLAMA, "invoke", ("bedrock.llama",)),
        ("mistral.mistral-7b-instruct-v0:2", "invoke", ("bedrock.mistral",)),
        ("amazon.nova-lite-v1:0", "invoke", CONVERSE),
        ("", "invoke", CONVERSE),
        ("", "", CONVERSE),
    ],
)
def test_a_model_is_spoken_to_in_what_it_has(model: str, api: str, dialects: tuple[str, ...]) -> None:
    assert bedrock_dialects(model, api) == dialects
    assert set(dialects) <= DIALECTS.keys()


def test_a_target_has_its_base_models_dialects_capabilities_and_price() -> None:
    made = bedrock_target(template(), f"us.{SONNET}", day="2026-11-30")
    assert made.id == f"bedrock/us.{SONNET}"
    assert made.dialects == CLAUDE
    assert made.capabilities is not None
    assert made.capabilities.family == "claude-sonnet-4-5"
    assert made.price is not None
    assert made.price.tiers[0].input == 3_300_000
    assert made.facts == {"base_model": SONNET}


def test_an_opaque_name_is_what_the_operator_says() -> None:
    unknown = bedrock_target(template(), PROFILE)
    assert (unknown.dialects, unknown.capabilities, unknown.price, unknown.facts) == (CONVERSE, None, None, {})
    known = bedrock_target(template(), PROFILE, base_model=f"global.{SONNET}")
    assert known.dialects == CLAUDE
    assert known.price == bedrock_target(template(), f"global.{SONNET}").price
    imported = bedrock_target(template(api="invoke"), IMPORTED, base_model=LLAMA)
    assert imported.dialects == ("bedrock.llama",)
    assert imported.facts == {"base_model": LLAMA}
    assert imported.price is None


def test_dialects_that_the_operator_wrote_hold_for_every_model() -> None:
    assert bedrock_target(template(dialects=("anthropic.messages",)), SONNET).dialects == ("anthropic.messages",)


@pytest.mark.parametrize("upstream", ["gpt-4o", "no/such", "@x", "arn:aws:bedrock:x"])
def test_what_a_client_makes_up_behind_a_wildcard_is_no_error_here(upstream: str) -> None:
    made = bedrock_target(template(), upstream, base_model="nonsense")
    assert (made.upstream_model, made.price, made.dialects) == (upstream, None, CONVERSE)


def problem(upstream: str, region: str = "us-east-1") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        check_bedrock_target(template(region), upstream, where="trimaran.yaml:3")
    assert caught.value.where == "trimaran.yaml:3"
    return caught.value


def test_a_name_that_is_none_is_refused() -> None:
    assert "list-inference-profiles" in str(problem("gpt-4o"))


def test_an_arn_of_another_region_is_refused_with_a_provider_for_it() -> None:
    error = problem(PROFILE, "eu-west-1")
    assert "us-east-1" in error.message
    assert "kind: bedrock, region: us-east-1" in error.hint


@pytest.mark.parametrize(
    ("upstream", "region", "instead"),
    [
        (f"us.{SONNET}", "eu-central-1", f"eu.{SONNET}"),
        (f"eu.{SONNET}", "ap-northeast-1", f"jp.{SONNET}"),
        (f"jp.{SONNET}", "ap-southeast-2", f"au.{SONNET}"),
        (f"us.{SONNET}", "us-gov-west-1", f"us-gov.{SONNET}"),
        ("us.amazon.nova-premier-v1:0", "eu-west-1", "list-inference-profiles --region eu-west-1"),
        (f"us-gov.{SONNET}", "sa-east-1", f"global.{SONNET}"),
    ],
)
def test_a_profile_of_another_part_of_the_world_is_refused_with_the_one_to_write(
    upstream: str, region: str, instead: str
) -> None:
    assert instead in problem(upstream, region).hint


@pytest.mark.parametrize(
    ("upstream", "region"),
    [
        (f"global.{SONNET}", "sa-east-1"),
        (f"us.{SONNET}", "ca-central-1"),
        # Which of others' profiles these may use differs by model.
        (f"us.{SONNET}", "sa-east-1"),
        ("eu.amazon.nova-lite-v1:0", "il-central-1"),
        (f"apac.{SONNET}", "ap-southeast-1"),
        (PROFILE, "us-east-1"),
    ],
)
def test_what_may_be_right_is_not_refused(upstream: str, region: str) -> None:
    check_bedrock_target(template(region), upstream)


def test_a_model_behind_profiles_only_is_warned_of_with_the_profile_to_write() -> None:
    (warning,) = check_bedrock_target(template("eu-west-1"), SONNET, where="trimaran.yaml:3")
    assert warning.startswith("trimaran.yaml:3: ")
    assert f"write bedrock/eu.{SONNET}" in warning
    assert "2026-11-30" in warning
    (warning,) = check_bedrock_target(template("sa-east-1"), "meta.llama4-scout-17b-instruct-v1:0")
    assert "aws bedrock list-inference-profiles --region sa-east-1" in warning
    assert check_bedrock_target(template(), "anthropic.claude-3-haiku-20240307-v1:0") == ()


def test_an_opaque_name_without_a_base_model_is_warned_of() -> None:
    (warning,) = check_bedrock_target(template(), PROFILE)
    assert f"providers.bedrock.base_models: {{{PROFILE}: " in warning
    assert served(PROFILE, f'{{region: us-east-1, base_models: {{"{PROFILE}": {LLAMA}}}}}').warnings == ()


@pytest.mark.parametrize(("region", "meant"), [("eu-centrl-1", "eu-central-1"), ("us-esat-1", "us-east-1")])
def test_a_region_that_is_none_is_warned_of_once_with_its_line(region: str, meant: str) -> None:
    told = f"{{}}: {region} is no Region that this version knows; did you mean {meant}?"
    for provider, targets in (
        ("bedrock", '"bedrock/amazon.nova-lite-v1:0"'),
        ("sagemaker", "sagemaker/a, sagemaker/b"),
    ):
        found = snapshot(
            f"providers:\n  {provider}:\n    region: {region}\nmodels: {{chat: {{targets: [{targets}]}}}}\n"
        )
        assert found.warnings == (f"trimaran.yaml:3: {told.format(provider)}",)


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        snapshot(text)
    return str(raised.value)


def test_base_models_are_for_names_that_do_not_tell() -> None:
    plain = served(LLAMA, f"{{region: us-east-1, base_models: {{{SONNET}: {LLAMA}}}}}").warnings
    assert f"providers.bedrock.base_models: '{SONNET}' tells its model itself" in plain[-1]
    wrong = PROFILE.replace("bedrock", "bedrok")
    assert "trimaran.yaml:2" in refused(
        f'providers:\n  bedrock: {{region: us-east-1, base_models: {{"{wrong}": {LLAMA}}}}}\n'
    )
    near = served(PROFILE, f'{{region: us-east-1, base_models: {{"{PROFILE[:-1]}m": {LLAMA}}}}}').warnings
    assert f"nothing is said of {PROFILE}, which is nearly {PROFILE[:-1]}m; is that meant?" in near[-1]
    assert (
        "is no name of Bedrock's"
        in served(LLAMA, f"{{region: us-east-1, base_models: {{mine: {LLAMA}}}}}").warnings[-1]
    )


def test_dialects_that_bedrock_does_not_speak_are_refused() -> None:
    told = refused("providers:\n  bedrock:\n    region: us-east-1\n    dialects: [openai.chat]\nmodels: {m: {targets: [bedrock/*]}}\n"
                   .replace("models: {m:", "models: {m/*:"))  # fmt: skip
    assert "trimaran.yaml:4" in told and "Bedrock does not speak openai.chat" in told and "bedrock.converse" in told


# The whole way from a file


def test_a_file_becomes_targets() -> None:
    made = served(f"us.{SONNET}")
    (target,) = resolve(made, "chat")[1]
    assert target.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert (target.region, target.kind, target.door) == ("us-east-1", "bedrock", "bedrock")
    assert target.dialects == CLAUDE
    assert made.warnings == ()


def test_a_second_region_is_a_provider_of_its_own() -> None:
    made = snapshot(
        "providers:\n  bedrock: {region: us-east-1}\n  frankfurt: {kind: bedrock, region: eu-central-1}\n"
        "models: {chat: {targets: [frankfurt/eu.amazon.nova-lite-v1:0, bedrock/us.amazon.nova-lite-v1:0]}}\n"
    )
    eu, us = resolve(made, "chat")[1]
    assert eu.base_url == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert eu.price is not None
    assert us.price is not None
    assert (eu.price.tiers[0].input, us.price.tiers[0].input) == (78_000, 60_000)


def test_china_has_another_domain() -> None:
    made = served("anthropic.claude-3-haiku-20240307-v1:0", "{region: cn-north-1}")
    (target,) = resolve(made, "chat")[1]
    assert target.base_url == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
    assert target.price is None


def test_a_base_model_is_found_behind_a_wildcard_too() -> None:
    made = snapshot(f'providers: {{bedrock: {{region: us-east-1, base_models: {{"{PROFILE}": us.{SONNET}}}}}}}\n')
    (target,) = resolve(made, f"bedrock/{PROFILE}")[1]
    assert target.price is not None
    assert target.dialects == CLAUDE


def test_all_problems_of_a_file_are_told_with_their_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        snapshot(
            "providers:\n  bedrock:\n    region: us-east-1\n    base_models: {mine: claude}\n"
            "  openai: {api_key: '${K}', api: invoke}\nmodels:\n  chat:\n    targets:\n    - bedrock/gpt-4o\n"
            f"    - bedrock/eu.{SONNET}\n    - openai/gpt-4o\n",
            K="sk-test",
        )
    told = str(caught.value)
    for place in ("trimaran.yaml:4", "trimaran.yaml:5", "trimaran.yaml:9", "trimaran.yaml:10"):
        assert place in told


def test_without_a_region_it_says_where_it_was_looked_for() -> None:
    with pytest.raises(ConfigError, match="AWS_DEFAULT_REGION"):
        served(f"us.{SONNET}", "{}")


# Which dialect is taken


def sent(client: str, body: dict[str, object], upstream: str = f"us.{SONNET}", api: str = "") -> str:
    dialect = DIALECTS[client]
    made = translate(dialect, dialect.read(json.dumps(body).encode()), bedrock_target(template(api=api), upstream))
    return made.dialect.name


CHAT = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def test_anthropics_clients_pass_and_others_are_translated() -> None:
    assert sent("anthropic.messages", CHAT) == "anthropic.messages"
    assert sent("openai.chat", CHAT) == "bedrock.converse"
    assert sent("anthropic.messages", CHAT, LLAMA) == "bedrock.converse"
    assert sent("openai.chat", CHAT, LLAMA, "invoke") == "bedrock.llama"
    assert sent("openai.chat", CHAT, api="invoke") == "anthropic.messages"
    count = {key: value for key, value in CHAT.items() if key != "max_tokens"}
    assert sent("anthropic.count_tokens", count) == "anthropic.count_tokens"


def test_what_bedrock_would_have_to_fetch_is_refused_by_name() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    for api in ("", "invoke"):
        with pytest.raises(UnsupportedFeature, match="messages\\[0\\]"):
            sent("openai.chat", CHAT | {"messages": [{"role": "user", "content": [picture]}]}, api=api)
