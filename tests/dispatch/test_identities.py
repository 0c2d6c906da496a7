"""Who may ask, and what binds them: configured and stored keys, budgets of keys, tenants and tags."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from trimaran.config import load, load_text
from trimaran.dispatch.identities import identities, refuse_exposure
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError
from trimaran.ledger.keys import KeyRow
from trimaran.types import Allowance, Snapshot

ENV = {"HOME": "/users/someone", "OPENAI_API_KEY": "sk-canary", "TEAM_A_KEY": "a" * 20}
NOW_NS = 1_790_000_000 * 10**9
CONFIG = """
models: {chat: {targets: [openai/gpt-4o-mini]}}
keys:
  a: {key: "${TEAM_A_KEY}", tenant: acme, tags: {project: x, site: ber}, budget: [5 USD/day, 1M tokens/month], rpm: 60}
tenants:
  acme: {budget: 100 USD/month}
  default: {tpm: 1000}
tags:
  project=x: {budget: 50 requests/hour}
"""


def row(name: str, **more: Any) -> KeyRow:
    digest = hashlib.sha256(f"{name}{more.get('number', 0)}".encode()).digest()
    values: dict[str, Any] = {"tenant": "acme", "created_ns": NOW_NS, "created_by": "ops", "prefix": "tk-12345", **more}
    return KeyRow(name=name, **{"digest": digest, **values})


def built(text: str, *stored: KeyRow) -> Snapshot:
    return build_snapshot(load_text(text, "t.yaml", ENV), ENV, 1, stored)


def test_a_key_is_bound_by_its_own_its_tenants_and_its_tags_allowances() -> None:
    snapshot = built(CONFIG)
    (key,) = snapshot.keys
    assert key.allowances == (
        "key:a:requests/minute",
        "key:a:usd/day",
        "key:a:tokens/month",
        "tenant:acme:usd/month",
        "tag:project=x:requests/hour",
    )
    by_id = {each.id: each for each in snapshot.allowances}
    assert by_id["key:a:usd/day"] == Allowance("key:a:usd/day", "key", "a", "usd", 5 * 10**9, "day")
    assert by_id["tag:project=x:requests/hour"] == Allowance(
        "tag:project=x:requests/hour", "tag", "project=x", "requests", 50, "hour"
    )
    assert by_id["tenant:default:tokens/minute"].limit == 1000
    assert len(by_id) == len(snapshot.allowances) == 6
    assert snapshot.anonymous_allowances == ("tenant:default:tokens/minute",)


def test_a_stored_key_is_bound_like_a_configured_one() -> None:
    stored = row(
        "b",
        tags={"project": "x"},
        models=("chat",),
        budget=("7 USD/week", "3 requests/total"),
        tpm=9,
        expires_ns=NOW_NS + 5,
    )
    key = built(CONFIG, stored).keys[-1]
    assert (key.id, key.tenant, key.tags, key.models) == ("b", "acme", (("project", "x"),), ("chat",))
    assert (key.digest, key.expires_ns) == (stored.digest, NOW_NS + 5)
    assert key.allowances == (
        "key:b:tokens/minute",
        "key:b:usd/week",
        "key:b:requests/total",
        "tenant:acme:usd/month",
        "tag:project=x:requests/hour",
    )


def test_a_rotated_secret_is_known_with_its_end_and_shares_the_budget() -> None:
    old = row("b", number=1, budget=("7 USD/week",), rotated_ns=NOW_NS, rotated_by="ops", valid_until_ns=NOW_NS + 9)
    new = row("b", number=2, budget=("7 USD/week",))
    first, second = built("", old, new).keys
    assert [first.expires_ns, second.expires_ns] == [NOW_NS + 9, None]
    assert first.allowances == second.allowances == ("key:b:usd/week",)
    assert first.digest != second.digest


def test_once_there_was_a_key_one_is_required() -> None:
    assert not built("").require_key
    assert built("", row("b")).require_key
    revoked = built("", row("b", revoked_ns=NOW_NS, revoked_by="ops"))
    assert revoked.require_key
    assert revoked.keys == ()


def test_a_name_or_a_secret_that_stands_in_both_places() -> None:
    with pytest.raises(ConfigError) as caught:
        built('models: {m: {targets: [openai/x]}}\nkeys:\n  a: {key: "${TEAM_A_KEY}"}', row("a"))
    assert "keys.a: the key a (tk-12345…) stands in the store of keys, too" in caught.value.message
    assert caught.value.where == "t.yaml:3"
    assert "trimaran keys revoke a" in caught.value.hint
    same = row("other", digest=hashlib.sha256(ENV["TEAM_A_KEY"].encode()).digest())
    with pytest.raises(ConfigError, match="the key other"):
        built('keys: {a: {key: "${TEAM_A_KEY}"}}', same)
    # Once it is revoked there is no doubt who is meant.
    assert len(built('keys: {a: {key: "${TEAM_A_KEY}"}}', row("a", revoked_ns=NOW_NS)).keys) == 1


def test_what_is_wrong_with_a_stored_key_keeps_nobody_else_from_being_served() -> None:
    snapshot = built(CONFIG, row("b", models=("gone", "chat")))
    assert len(snapshot.keys) == 2
    assert [each for each in snapshot.warnings if "stored" in each] == [
        "the stored key b may call what is not there: model 'gone' is not served here; served: chat"
    ]


def test_a_budget_that_means_nothing_is_not_left_out() -> None:
    with pytest.raises(ConfigError, match="the budget of the stored key b: expected an amount in a period"):
        built(CONFIG, row("b", budget=("5 USD/year",)))


def test_what_binds_nobody_is_said_with_its_line() -> None:
    text = 'keys: {a: {key: "${TEAM_A_KEY}", tags: {t: "1"}}}\n'
    text += "tenants:\n  acme: {rpm: 1}\n  default: {rpm: 2}\ntags:\n  t=2: {rpm: 3}\n  t=1: {rpm: 3}"
    found = built(text).warnings
    assert found == (
        "t.yaml:3: tenants.acme binds nobody: no key has the tenant 'acme'",
        "t.yaml:6: tags.t=2 binds nobody: no key has the tag 't=2'",
    )
    assert built(text, row("b", tags={"t": "2"})).warnings == ()
    # Without keys everybody is the default tenant.
    assert built("tenants: {default: {rpm: 2}}").warnings == ()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.internal"])
def test_listening_to_others_needs_keys(host: str) -> None:
    config = load_text(f"server:\n  host: '{host}'\n", "t.yaml", ENV)
    with pytest.raises(ConfigError, match="others could use this address, and there is no key") as caught:
        refuse_exposure(config, build_snapshot(config, ENV, 1))
    assert caught.value.where == "t.yaml:2: server.host"
    assert "trimaran keys create" in caught.value.hint
    refuse_exposure(config, build_snapshot(config, ENV, 1, (row("b"),)))
    environ = {**ENV, "TRIMARAN_KEY": "k" * 20, "TRIMARAN_SERVER_HOST": host}
    refuse_exposure(load(None, environ), build_snapshot(load(None, environ), environ, 1))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    config = load_text(f"server: {{host: '{host}'}}", "t.yaml", ENV)
    refuse_exposure(config, build_snapshot(config, ENV, 1))


def test_a_library_has_no_keys_and_no_lock() -> None:
    found = identities(load(None, ENV))
    assert (found.keys, found.allowances, found.anonymous_allowances, found.require_key) == ((), (), (), False)
