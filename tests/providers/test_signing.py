"""Credentials become header lines: the right ones, once, and never a second header."""

from __future__ import annotations

import anthropic
import openai
import pytest

from trimaran.errors import ConfigError
from trimaran.providers import ANTHROPIC_VERSION, Signer, clean_secret, default_headers, signer
from trimaran.types import Target

KEY = "sk-canary-4f9d2c1b7a6e5d4c3b2a"


def target(provider: str, dialect: str) -> Target:
    return Target(f"{provider}/m", provider, "m", (dialect,), "https://x.example", credential=provider, kind=provider)


def lines(signed: Signer) -> list[str]:
    text = signed.entrance(b"POST", b"/v1/messages", b"host: x.example\r\n")(b"{}").decode("ascii")
    assert text == "" or text.endswith("\r\n")
    return text.split("\r\n")[:-1]


@pytest.mark.parametrize(
    ("provider", "dialect", "line"),
    [
        ("openai", "openai.chat", f"authorization: Bearer {KEY}"),
        ("groq", "openai.chat", f"authorization: Bearer {KEY}"),
        ("anthropic", "anthropic.messages", f"x-api-key: {KEY}"),
        ("mine", "openai.chat", f"authorization: Bearer {KEY}"),
        ("mine", "anthropic.messages", f"x-api-key: {KEY}"),
    ],
)
def test_each_dialect_is_authenticated_its_way(provider: str, dialect: str, line: str) -> None:
    assert lines(signer(target(provider, dialect), KEY)) == [line]


def test_the_vendors_clients_authenticate_the_same_way() -> None:
    ours = lines(signer(target("openai", "openai.chat"), KEY))[0].partition(": ")[2]
    assert openai.OpenAI(api_key=KEY).auth_headers["Authorization"] == ours
    # Newer anthropic clients send a bearer; the service takes both.
    headers = {name.lower(): str(value) for name, value in anthropic.Anthropic(api_key=KEY).auth_headers.items()}
    assert KEY in "".join(headers.values())


def test_nothing_is_sent_without_a_credential() -> None:
    assert lines(signer(target("mine", "openai.chat"), "")) == []


def test_configured_headers_follow_the_credential() -> None:
    signed = signer(target("mine", "openai.chat"), KEY, [("X-Team", "a"), ("x-other", " b ")])
    assert lines(signed) == [f"authorization: Bearer {KEY}", "x-team: a", "x-other: b"]


def test_the_same_bytes_each_time() -> None:
    signed = signer(target("openai", "openai.chat"), KEY)
    assert signed.entrance(b"POST", b"/a", b"")(b"1") is signed.entrance(b"GET", b"/b", b"")(b"2")


@pytest.mark.parametrize("bad", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b", "schlüssel", "a\x7fb", "a\tb"])
def test_a_credential_cannot_become_a_second_header(bad: str) -> None:
    with pytest.raises(ConfigError) as caught:
        signer(target("openai", "openai.chat"), bad)
    assert "the credential of openai" in caught.value.message
    assert "evil" not in str(caught.value)
    with pytest.raises(ConfigError):
        signer(target("openai", "openai.chat"), KEY, [("x-team", bad)])


def test_spaces_around_a_credential_are_dropped_and_said() -> None:
    assert clean_secret(f" {KEY}\n", "openai") == (
        KEY,
        "the credential of openai has spaces around it; they are ignored",
    )
    assert clean_secret(KEY, "openai") == (KEY, "")


def test_a_signer_does_not_show_itself() -> None:
    assert KEY not in repr(signer(target("openai", "openai.chat"), KEY))


def test_what_a_dialect_demands() -> None:
    assert default_headers("anthropic.messages") == ((b"anthropic-version", b"2023-06-01"),)
    assert default_headers("openai.chat") == ()
    # The version that still takes a temperature, which a translated request may carry.
    assert ANTHROPIC_VERSION == "2023-06-01"
