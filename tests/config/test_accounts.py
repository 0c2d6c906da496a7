"""Budgets, limits, expiry and alerts as they are written, and what is said about mistakes in them."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.config import Budget, Config, load_text, parse_budget
from trimaran.errors import ConfigError
from trimaran.types import PERIODS

ENV = {
    "HOME": "/users/someone",
    "TEAM_A_KEY": "a-key-that-is-long-enough",
    "ALERT_URL": "https://hooks.example.com/canary",
}
KEY = 'keys:\n  a:\n    key: "${TEAM_A_KEY}"\n'


def read(text: str) -> Config:
    return load_text(text, "t.yaml", ENV)


def only(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert not caught.value.problems, caught.value
    return caught.value


@pytest.mark.parametrize(
    ("text", "unit", "limit", "period"),
    [
        ("500 USD/month", "usd", 500 * 10**9, "month"),
        ("$0.000000001/minute", "usd", 1, "minute"),
        ("1.5k USD / week", "usd", 1500 * 10**9, "week"),
        ("2M tokens/day", "tokens", 2_000_000, "day"),
        ("1.5B tokens/total", "tokens", 1_500_000_000, "total"),
        ("10000 requests/hour", "requests", 10_000, "hour"),
        ("1 request/day", "requests", 1, "day"),
    ],
)
def test_what_a_budget_means(text: str, unit: str, limit: int, period: str) -> None:
    assert parse_budget(text) == Budget(unit, limit, period)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("500 USD", "a slash, and one of minute, hour, day, week, month, total"),
        ("500 EUR/month", "USD, tokens or requests"),
        ("500/month", "USD, tokens or requests"),
        ("500 USD/year", "one of minute, hour"),
        ("-5 USD/day", "an amount in a period"),
        ("1e3 USD/day", "an amount in a period"),
        ("\u0665 USD/day", "an amount in a period"),
        ("0 USD/day", "an amount above 0"),
        ("0.0 requests/day", "an amount above 0"),
        ("0.5 requests/day", "a whole number"),
        ("0.0000000001 USD/day", "an amount in a period"),
        ("100000001 USD/day", "of at most 100000000 USD"),
        ("999999999999999B tokens/day", "of at most 1000000000000000 tokens"),
    ],
)
def test_what_is_no_budget(text: str, said: str) -> None:
    found = only(f"{KEY}    budget: {text}\n")
    assert said in found.message
    assert (found.where, found.hint) == ("t.yaml:4", "for example: 500 USD/month")
    assert repr(text) not in str(found)


@given(st.sampled_from(("usd", "tokens", "requests")), st.integers(1, 10**15), st.sampled_from(PERIODS))
def test_a_budget_is_read_back_as_it_is_shown(unit: str, limit: int, period: str) -> None:
    assert parse_budget(Budget(unit, limit, period).text) == Budget(unit, limit, period)


@given(st.decimals(min_value=Decimal("0.000000001"), max_value=Decimal(10**8), places=9))
def test_money_is_exact(amount: Decimal) -> None:
    assert parse_budget(f"{amount:f} USD/month").limit == int(amount * 10**9)


@given(st.text(max_size=40))
def test_any_text_is_a_budget_or_a_plain_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_budget(text).limit > 0


def test_one_or_many() -> None:
    config = read(f"{KEY}    budget: 5 USD/day\ntenants: {{acme: {{budget: [5 USD/day, 50 USD/month], rpm: 60}}}}")
    assert [budget.text for budget in config.keys["a"].budget] == ["5 USD/day"]
    assert [budget.text for budget in config.tenants["acme"].budget] == ["5 USD/day", "50 USD/month"]
    assert (config.tenants["acme"].rpm, config.tenants["acme"].tpm) == (60, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{KEY}    budget:\n    - 5 USD/day\n    - 6 USD/day\n",
            "keys.a.budget[1]: keys.a.budget[0] limits usd/day, too",
        ),
        (f"{KEY}    rpm: 5\n    budget: 6 requests/minute\n", "keys.a.budget: keys.a.rpm limits requests/minute, too"),
        (
            "tenants:\n  x:\n    tpm: 5\n    budget: 6 tokens/minute",
            "tenants.x.budget: tenants.x.tpm limits tokens/minute",
        ),
        (
            "tags:\n  a=b:\n    rpm: 5\n    budget: 1 request/minute",
            "tags.a=b.budget: tags.a=b.rpm limits requests/minute",
        ),
    ],
)
def test_one_limit_for_each_unit_and_period(text: str, said: str) -> None:
    found = only(text)
    assert said in found.message
    assert found.where == f"t.yaml:{len(text.splitlines())}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-31", 1_801_353_600),
        ("2027-01-31T00:00", 1_801_353_600),
        ("2027-01-31T18:30Z", 1_801_420_200),
        ("2027-01-31 18:30:01", 1_801_420_201),
    ],
)
def test_when_a_key_expires(text: str, seconds: int) -> None:
    assert read(f"{KEY}    expires: {text}\n").keys["a"].expires_ns == seconds * 10**9


@pytest.mark.parametrize(
    "text", ["soon", "2027-02-30", "2027-1-1", "2027-01-31T25:00", "2027-01-31T10:00+01:00", "1999"]
)
def test_what_is_no_moment(text: str) -> None:
    found = only(f"{KEY}    expires: {text}\n")
    assert "a date such as 2026-01-31, or a date and time of UTC" in found.message
    assert found.where == "t.yaml:4"


@pytest.mark.parametrize("name", ["cost_center", "=42", "a b=1", "a=", '"a=\\x1b"'])
def test_a_tag_is_named_with_its_value(name: str) -> None:
    found = only(f"tags:\n  {name}: {{rpm: 1}}")
    assert "a tag with its value, such as cost_center=42" in found.message
    assert found.where == "t.yaml:2"


def test_alerts() -> None:
    config = read('alerts: {webhook: "${ALERT_URL}", thresholds: [80%, 50%]}')
    assert config.alerts.webhook is not None
    assert config.alerts.webhook.reveal() == ENV["ALERT_URL"]
    assert config.alerts.thresholds == (80, 50)
    assert read("").alerts.thresholds == (50, 80, 100)
    assert "canary" not in repr((config, config.alerts))
    plain = read("alerts: {webhook: http://127.0.0.1:9000/hook?token=x}").alerts.webhook
    assert plain is not None
    assert plain.reveal() == "http://127.0.0.1:9000/hook?token=x"


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.1.1:8080",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "0251.0376.0251.0376",
    ],
)
def test_nothing_is_posted_to_what_hands_out_credentials(host: str) -> None:
    found = only(f"alerts:\n  webhook: 'http://{host}/latest/meta-data'")
    assert "no cloud's metadata service" in found.message
    assert found.where == "t.yaml:2"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/canary",
        "https://user:canary@x/",
        "https:///canary",
        "http://[canary",
        "http://x:canary",
        "http://x/#canary",
    ],
)
def test_what_is_no_webhook_is_not_shown(url: str) -> None:
    found = only(f"alerts:\n  webhook: '{url}'")
    assert "an http:// or https:// URL without user name and fragment" in found.message
    assert "canary" not in str(found)


@pytest.mark.parametrize("text", ["[50]", "[0%]", "[101%]", "[5.5%]", "[]", "[50%, 50%]", "x"])
def test_what_is_no_threshold(text: str) -> None:
    assert only(f"alerts:\n  thresholds: {text}").where == "t.yaml:2"
