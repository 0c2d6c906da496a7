"""The library's faces against simulated providers over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trimaran import AsyncRouter, MultiCloudRouter, Router
from trimaran.errors import AllAttemptsFailed, ConfigError, InvalidRequest, Unavailable, UnknownModel
from trimaran.ledger import Store
from trimaran.testing import Behaviour, SimulatedProvider


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedProvider]:
    with SimulatedProvider(Behaviour(ttft_s=0.0, tpot_s=0.0, output_tokens=5)).in_thread() as simulated:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{simulated.base_url}/v1")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", simulated.base_url)
        yield simulated


def test_three_lines(provider: SimulatedProvider) -> None:
    with MultiCloudRouter() as router:
        result = router.route("What is 42 * 37?")
        assert isinstance(result, Mapping)
        assert result["provider"] in ("openai", "anthropic")
        assert isinstance(result["latency_ms"], float)
        assert "simulated" in str(result["response"]).lower()
        assert result["attempts"] == 1
        assert (result.cost_nanos or 0) > 0
        assert set(dict(result)) == set(result)


def test_the_configured_order_is_kept_without_prefer_fast(provider: SimulatedProvider) -> None:
    with MultiCloudRouter() as router:
        providers = {router.route("hi", prefer_fast=False)["provider"] for _ in range(5)}
    assert providers == {"openai"}


def test_messages_options_and_models(provider: SimulatedProvider) -> None:
    with MultiCloudRouter() as router:
        result = router.route(
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
            model="anthropic/claude-haiku-4-5-20251001",
            max_tokens=3,
            temperature=0.5,
        )
        assert result.provider == "anthropic"
        assert result.finish_reason == "length"
        with pytest.raises(UnknownModel):
            router.route("hi", model="nobody/nothing")
        with pytest.raises(InvalidRequest):
            router.route([])
        with pytest.raises(InvalidRequest):
            router.route("hi", temperature=object())


def test_streams_come_piece_by_piece(provider: SimulatedProvider) -> None:
    with MultiCloudRouter() as router:
        pieces = list(router.stream("hi", model="openai/gpt-4o-mini"))
        assert len(pieces) > 1
        assert "".join(pieces) == router.route("hi", model="openai/gpt-4o-mini").response


def test_when_all_fail_each_attempt_is_listed_in_a_runtime_error(provider: SimulatedProvider) -> None:
    provider.behaviour = Behaviour(fault="status", status=503)
    with MultiCloudRouter() as router:
        with pytest.raises(RuntimeError) as caught:
            router.route("hi")
        assert isinstance(caught.value, AllAttemptsFailed)
        assert {target.partition("/")[0] for target, _ in caught.value.attempts} == {"openai", "anthropic"}
        stats = router.stats()
        assert stats["openai"]["error_count"] == stats["anthropic"]["error_count"] == 1


def test_stats_count_by_provider(provider: SimulatedProvider) -> None:
    with MultiCloudRouter() as router:
        for _ in range(3):
            router.route("hi", model="openai/gpt-4o-mini")
        stats = router.stats()["openai"]
    assert stats["attempts"] == 3
    assert stats["error_count"] == 0
    assert isinstance(stats["p50_ms"], float)


def test_no_credential_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        MultiCloudRouter()


def test_aws_alone_has_no_default_model_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"ACCESS_KEY_ID": "AKIDEXAMPLE", "SECRET_ACCESS_KEY": "x", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with SimulatedProvider().in_thread() as simulated, MultiCloudRouter() as router:
        with pytest.raises(InvalidRequest, match=r"model='bedrock/"):
            router.route("hi")
        with pytest.raises(InvalidRequest, match=r"model='bedrock/"):
            list(router.stream("hi"))
        assert not simulated.log.total


def test_a_router_from_a_file_with_a_ledger(provider: SimulatedProvider, tmp_path: Path) -> None:
    config = tmp_path / "trimaran.yaml"
    config.write_text("models:\n  chat:\n    strategy: ordered\n    targets: [anthropic/claude-haiku-4-5-20251001]\n")
    with Router.from_config(str(config), ledger=tmp_path / "state") as router:
        assert router.route("hi").provider == "anthropic"
        assert [choice.target for choice in router.explain()] == ["anthropic/claude-haiku-4-5-20251001"]
    with Store(tmp_path / "state" / "ledger.sqlite3") as store:
        rows = store.connection.execute("SELECT target, status, simulated FROM attempts").fetchall()
    assert [tuple(row)[:2] for row in rows] == [("anthropic/claude-haiku-4-5-20251001", "ok")]


def test_a_closed_router_starts_again(provider: SimulatedProvider) -> None:
    router = MultiCloudRouter()
    router.route("hi")
    router.close()
    router.close()
    assert router.route("hi").attempts == 1
    router.close()


async def test_the_awaitable_face(provider: SimulatedProvider) -> None:
    async with AsyncRouter.from_config() as router:
        assert (await router.route("hi")).response
        pieces = [piece async for piece in router.stream("hi", model="openai/gpt-4o-mini")]
        assert len(pieces) > 1


async def test_leaving_a_stream_early_cancels_it_at_the_target(provider: SimulatedProvider) -> None:
    provider.behaviour = Behaviour(ttft_s=0.0, tpot_s=0.01, output_tokens=1000)
    async with AsyncRouter.from_config() as router:
        stream = router.stream("hi", model="openai/gpt-4o-mini", max_tokens=1000)
        assert await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        gone = lambda simulated: any(entry.outcome == "cancelled" for entry in simulated.log)  # noqa: E731
        await asyncio.to_thread(provider.wait_until, gone)


def test_closing_during_a_request_ends_it_with_an_error(provider: SimulatedProvider) -> None:
    provider.behaviour = Behaviour(ttft_s=30.0)
    router = MultiCloudRouter()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(router.route, "hi", model="openai/gpt-4o-mini")
        provider.wait_until(lambda simulated: simulated.open_requests > 0)
        router.close()
        with pytest.raises(Unavailable, match="closed"):
            waiting.result(5)


def test_closing_during_a_stream_ends_it_with_an_error(provider: SimulatedProvider) -> None:
    provider.behaviour = Behaviour(ttft_s=0.0, tpot_s=0.05, output_tokens=1000)
    router = MultiCloudRouter()
    stream = router.stream("hi", model="openai/gpt-4o-mini", max_tokens=1000)
    assert next(stream)
    router.close()
    with ThreadPoolExecutor() as pool, pytest.raises(Unavailable, match="closed"):
        pool.submit(list, stream).result(5)
    router.close()


def test_asking_for_a_stream_where_a_whole_answer_is_given_is_named(provider: SimulatedProvider) -> None:
    with MultiCloudRouter() as router, pytest.raises(InvalidRequest, match="stream\\(\\)"):
        router.route("hi", stream=True)
    assert not provider.log


def test_a_lone_failure_names_its_target_and_is_a_runtime_error(provider: SimulatedProvider) -> None:
    provider.behaviour = Behaviour(fault="status", status=503)
    with MultiCloudRouter() as router:
        with pytest.raises(RuntimeError, match="the only attempt failed: openai/gpt-4o-mini: "):
            router.route("hi", model="openai/gpt-4o-mini", timeout_s=1)
        with pytest.raises(RuntimeError, match="openai/gpt-4o-mini"):
            list(router.stream("hi", model="openai/gpt-4o-mini", timeout_s=1))


def test_a_deadline_lists_the_attempts_it_ended(provider: SimulatedProvider) -> None:
    provider.behaviour = Behaviour(fault="silence")
    with MultiCloudRouter() as router, pytest.raises(AllAttemptsFailed, match="deadline") as caught:
        router.route("hi", model="openai/gpt-4o-mini", timeout_s=0.2)
    assert [target for target, _ in caught.value.attempts] == ["openai/gpt-4o-mini"]
