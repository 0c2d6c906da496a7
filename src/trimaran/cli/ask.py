"""``trimaran ask``: one question through the library, with the figures and, if wanted, the decision."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from trimaran.cli.output import next_step, note, print_json, print_table
from trimaran.cli.serve import make_private
from trimaran.config import load
from trimaran.dispatch.blocking import Router
from trimaran.dispatch.library import RouterSettings
from trimaran.dispatch.result import Result
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError
from trimaran.routing import Choice, explain

__all__ = ["ask"]


def ask(
    prompt: str,
    *,
    path: str | None,
    overrides: Mapping[str, object],
    model: str | None,
    max_tokens: int,
    stream: bool,
    explain: bool,
    as_json: bool,
    mock: bool,
) -> int:
    """Ask, print, account. Raises what the library raises."""
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise ConfigError("the question is empty", where="PROMPT", hint="trimaran ask 'What is 42 * 37?'")
    environ = dict(os.environ)
    with _simulator(environ, mock) as simulator, _router(path, environ, overrides, simulator, model) as router:
        options: dict[str, Any] = {"max_tokens": max_tokens}
        if model is not None:
            options["model"] = model
        choices = _decision(router, text, options) if explain else []
        if explain and not as_json:
            _show(choices)
        if stream and not as_json:
            return _stream(router, text, options)
        result = router.route(text, **options)
    if as_json:
        print_json({**result, "decision": [msgspec.to_builtins(row) for row in _rows(choices)]})
        return 0
    print(result.response)
    note(f"\n{_figures(result)}")
    next_step(f"trimaran ledger explain {result.request_id}, or trimaran spend")
    return 0


@contextmanager
def _simulator(environ: MutableMapping[str, str], mock: bool) -> Iterator[str]:
    """Address of what answers in place of every provider; empty: the providers themselves."""
    if not mock:
        yield ""
        return
    from trimaran.cli.simulated import simulated_providers

    with simulated_providers(environ) as base_url:
        note("--mock: simulated providers answer")
        yield base_url


def _router(
    path: str | None, environ: Mapping[str, str], overrides: Mapping[str, object], simulator: str, model: str | None
) -> Router:
    config = load(path, environ, overrides)
    snapshot = build_snapshot(config, environ, version=1)
    if not snapshot.models and not snapshot.wildcards:
        raise ConfigError(
            "no provider's credential was found",
            where=path or "environment",
            hint="set OPENAI_API_KEY or ANTHROPIC_API_KEY (trimaran doctor shows what was tried), or use --mock",
        )
    if model is None and "auto" not in snapshot.models and len(snapshot.models) != 1:
        names = [*snapshot.models, *(f"{prefix}/MODEL" for prefix in snapshot.wildcards)]
        raise ConfigError(
            "there are several models, and none of them is called auto",
            where=path or "environment",
            hint=f"name one with --model: {', '.join(names[:12])}",
        )
    if simulator:
        from trimaran.cli.simulated import simulated

        snapshot = simulated(snapshot, simulator)
    folder = Path(config.ledger.dir)
    # What is in the way is for the ledger to explain.
    with suppress(OSError):
        make_private(folder)
    return Router(RouterSettings(snapshot, folder, config.ledger.url))


def _stream(router: Router, text: str, options: dict[str, Any]) -> int:
    begun = False
    try:
        for piece in router.stream(text, **options):
            sys.stdout.write(piece)
            sys.stdout.flush()
            begun = True
    finally:
        # Also where it broke off: the message about that begins on a line of its own.
        if begun:
            sys.stdout.write("\n")
            sys.stdout.flush()
    next_step("trimaran spend")
    return 0


def _decision(router: Router, text: str, options: dict[str, Any]) -> list[Choice]:
    return router.explain(model=options.get("model"), input_tokens=len(text) // 4 + 1, max_tokens=options["max_tokens"])


def _rows(choices: list[Choice]) -> list[Any]:
    return explain(choices)


def _show(choices: list[Choice]) -> None:
    print_table(
        ["try", "target", "cost", "ttft", "per token", "whole", "SLO", "in flight", "circuit", "seen", "why"],
        [
            [
                str(row.place) if row.place else "-",
                row.target,
                "unknown" if row.cost_usd is None else f"${row.cost_usd:.6f}",
                f"{row.ttft_s * 1000:.0f} ms",
                f"{row.tpot_s * 1000:.1f} ms",
                f"{row.total_s:.2f} s",
                {True: "meets", False: "misses", None: "-"}[row.meets_slo],
                str(row.in_flight),
                row.circuit,
                str(row.samples),
                row.reason + (" (probe)" if row.probe and "probe" not in row.reason else ""),
            ]
            for row in explain(choices)
        ],
        title="How it is decided (predictions for this request)",
    )


def _figures(result: Result) -> str:
    cost = "cost unknown" if result.cost_nanos is None else f"${result.cost_nanos / 1e9:.9f}"
    tried = "" if result.attempts == 1 else f" · {result.attempts} attempts"
    return (
        f"[{result.provider}] {result.model} · {result.latency_ms:.0f} ms · "
        f"{result.input_tokens} + {result.output_tokens} tokens · {cost}{tried}"
    )
