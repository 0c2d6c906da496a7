"""Where the ledger is: a URL with a password never stands in the file, and is never shown."""

from __future__ import annotations

import pytest

from trimaran.config import Config, load_text
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError

ENV = {
    "HOME": "/home/user",
    "OPENAI_API_KEY": "sk-" + "k" * 20,
    "DB": "postgresql://me:hush%20hush@db.example.com/ledger",
}


def read(text: str, **environ: str) -> Config:
    return load_text(text, "t.yaml", {**ENV, **environ})


def test_without_a_url_there_is_a_file() -> None:
    assert read("").ledger.url is None
    assert read("").ledger.on_failure == "serve"


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ('ledger: {url: "${DB}"}', {}),
        ("", {"TRIMARAN_LEDGER_URL": ENV["DB"]}),
    ],
)
def test_a_password_comes_by_reference(text: str, environ: dict[str, str]) -> None:
    config = read(text, **environ)
    assert config.ledger.url is not None
    assert config.ledger.url.reveal() == ENV["DB"]
    assert "hush" not in repr(config)


@pytest.mark.parametrize("url", ["postgresql://me@db/ledger", "postgres:///ledger?host=/run/postgresql&port=5433"])
def test_a_url_without_a_password_may_stand_in_the_file(url: str) -> None:
    found = read(f'ledger: {{url: "{url}"}}').ledger.url
    assert found is not None
    assert found.reveal() == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hush@db/ledger", "a password must not stand in the file"),
        ("postgresql://db/ledger?password=hush", "a password must not stand in the file"),
        ("mysql://me:hush@db/ledger", "expected the URL of a database, postgresql://"),
        ("/var/hush/ledger.db", "expected the URL of a database, postgresql://"),
        ("postgresql://me:hush@db[/ledger", "expected the URL of a database, postgresql://"),
    ],
)
def test_what_cannot_be_used_is_refused_and_not_repeated(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(f'ledger: {{url: "{url}"}}')
    assert "t.yaml:1" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_the_policy_reaches_the_snapshot() -> None:
    for policy in ("serve", "refuse"):
        assert build_snapshot(read(f"ledger: {{on_failure: {policy}}}"), ENV, 1).on_ledger_failure == policy
    with pytest.raises(ConfigError, match="unknown policy"):
        read("ledger: {on_failure: panic}")
