"""What configuration and environment say about one provider, and who wins."""

from __future__ import annotations

import os
from collections.abc import Mapping

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.config import load_mapping
from trimaran.errors import ConfigError
from trimaran.providers import Endpoint, base_url_of, endpoint
from trimaran.types import Secret


def found(name: str, environ: Mapping[str, str], **settings: object) -> Endpoint:
    config = load_mapping({"providers": {name: settings}} if settings else {}, {"HOME": "/h", **environ})
    return endpoint(name, config, environ)


@pytest.mark.parametrize(
    ("given_url", "base"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com"),
        ("https://api.openai.com/v1/", "https://api.openai.com"),
        ("https://api.groq.com/openai/v1", "https://api.groq.com/openai"),
        ("https://api.anthropic.com", "https://api.anthropic.com"),
        ("http://127.0.0.1:8000//", "http://127.0.0.1:8000"),
        ("https://x.example/v1beta", "https://x.example/v1beta"),
    ],
)
def test_a_base_url_ends_before_v1(given_url: str, base: str) -> None:
    assert base_url_of(given_url) == base


def test_the_vendors_variables_mean_the_same_here_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    # The openai client's base URL holds /v1, the anthropic client's does not: requests must go to the same place.
    environ = {
        "OPENAI_API_KEY": "a",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/x/v1",
        "ANTHROPIC_API_KEY": "b",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9/y",
    }
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    theirs = str(openai.OpenAI().base_url).rstrip("/") + "/chat/completions"
    assert found("openai", environ).base_url + "/v1/chat/completions" == theirs
    theirs = str(anthropic.Anthropic().base_url).rstrip("/") + "/v1/messages"
    assert found("anthropic", environ).base_url + "/v1/messages" == theirs


def test_the_configuration_wins_over_the_environment() -> None:
    environ = {"OPENAI_API_KEY": "env", "OPENAI_BASE_URL": "https://env.example/v1", "K": "file"}
    ours = found("openai", environ, base_url="https://file.example/v1", api_key="${K}")
    assert (ours.base_url, ours.secret) == ("https://file.example", Secret("file"))
    assert ours.secret_from == "providers.openai.api_key"
    theirs = found("openai", environ)
    assert (theirs.base_url, theirs.secret, theirs.secret_from) == (
        "https://env.example",
        Secret("env"),
        "OPENAI_API_KEY",
    )


def test_a_known_provider_without_a_credential_cannot_be_called() -> None:
    nothing = found("anthropic", {"ANTHROPIC_API_KEY": "  "})
    assert not nothing.usable
    assert nothing.tried == ("providers.anthropic.api_key", "ANTHROPIC_API_KEY")
    # A proxy of one's own may hold the credential itself, and a header may be one.
    assert found("anthropic", {}, base_url="http://127.0.0.1:1").usable
    assert found("anthropic", {"T": "t"}, headers={"Authorization": "${T}"}).usable
    assert not found("anthropic", {"T": "t"}, headers={"x-team": "${T}"}).usable


def test_a_credential_of_the_environment_does_not_contradict_a_header() -> None:
    assert found("openai", {"OPENAI_API_KEY": "env", "T": "t"}, headers={"authorization": "${T}"}).secret is None


def test_a_provider_of_ones_own() -> None:
    mine = found("vllm", {}, base_url="http://127.0.0.1:8000/v1")
    assert (mine.dialects, mine.base_url, mine.secret, mine.usable) == (
        ("openai.chat", "openai.embeddings"),
        "http://127.0.0.1:8000",
        None,
        True,
    )
    with pytest.raises(ConfigError, match=r"providers\.vllm\.base_url is missing"):
        found("vllm", {}, region="here")
    with pytest.raises(KeyError):
        found("nobody", {})


def test_a_credential_that_travels_in_clear_is_a_warning() -> None:
    assert found("openai", {"OPENAI_API_KEY": "k"}, base_url="http://10.0.0.1").warnings
    assert not found("openai", {"OPENAI_API_KEY": "k"}, base_url="http://127.0.0.1:1").warnings
    assert not found("openai", {"OPENAI_API_KEY": "k"}, base_url="https://10.0.0.1").warnings
    assert "spaces" in found("openai", {"OPENAI_API_KEY": " k"}).warnings[0]


@pytest.mark.parametrize("url", ["ftp://x", "//x", "x", "https://u:p@x", "https://x?y", "https://x\r\ny"])
def test_a_base_url_of_the_environment_is_checked_like_one_of_the_file(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        found("openai", {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": url})
    assert caught.value.where == "OPENAI_BASE_URL"


def test_a_credential_with_a_line_break_names_its_variable() -> None:
    with pytest.raises(ConfigError) as caught:
        found("openai", {"OPENAI_API_KEY": "sk-canary-aaaa\r\nx-evil: 1"})
    assert caught.value.where == "OPENAI_API_KEY"
    assert "canary" not in str(caught.value)


def test_an_endpoint_does_not_show_its_credential() -> None:
    assert "canary" not in repr(found("openai", {"OPENAI_API_KEY": "sk-canary-aaaaaaaaaaaa"}))


@given(st.text(max_size=60))
def test_any_text_as_a_credential_or_url_gives_an_endpoint_or_a_config_error(text: str) -> None:
    for environ in ({"OPENAI_API_KEY": text}, {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": text}):
        try:
            ours = found("openai", environ)
        except ConfigError:
            continue
        assert ours.base_url.isascii()
        assert ours.secret is None or ours.secret.reveal().isprintable()
