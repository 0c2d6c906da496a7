"""Another table of the same facts is asked where it is installed: litellm's, under the names that the vendors use.

It is no dependency, not even of the tests, because it pulls in much and is partly wrong. Where it and ours
disagree, the difference stands here with its reason.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from trimaran.catalog import capabilities

FLAGS = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_pdf_input": "documents",
    "supports_native_structured_output": "json_schema",
    "supports_assistant_prefill": "prefill",
    "supports_sampling_params": "sampling",
}
"""Only flags with our meaning: ``supports_response_schema`` counts emulation by a tool, too."""

VENDORS = {"openai", "anthropic", "gemini", "mistral", "xai"}

DIFFERENT = {("gpt-4", "max_output_tokens"): "models.dev says 8192; a smaller figure would refuse requests"}
"""By family and fact."""


@cache
def table() -> dict[str, dict[str, Any]]:
    # Found without importing it, which takes seconds.
    spec = find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("litellm is not installed; its table cannot be asked")
    path = Path(spec.submodule_search_locations[0]) / "model_prices_and_context_window_backup.json"
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {name: facts for name, facts in found.items() if facts.get("litellm_provider") in VENDORS}


def test_no_flag_contradicts_ours() -> None:
    wrong = []
    for name, facts in table().items():
        ours = capabilities(name)
        if ours is None or facts.get("mode") not in ("chat", "responses"):
            continue
        for flag, feature in FLAGS.items():
            theirs = facts.get(flag)
            contradicted = feature in (ours.lacks if theirs else ours.has) if theirs is not None else False
            if contradicted and (ours.family, feature) not in DIFFERENT:
                wrong.append((name, feature, theirs))
    assert not wrong


def test_no_longest_answer_or_vector_contradicts_ours() -> None:
    wrong = []
    for name, facts in table().items():
        ours = capabilities(name)
        if ours is None or facts.get("mode") not in ("chat", "responses", "embedding"):
            continue
        pairs = {
            "max_output_tokens": (facts.get("max_output_tokens"), ours.max_output_tokens),
            "embedding_dimensions": (facts.get("output_vector_size"), ours.embedding_dimensions),
        }
        for field, (theirs, known) in pairs.items():
            # Half a percent: 65535 is written for 65536.
            if theirs and known and abs(theirs - known) > 0.005 * known and (ours.family, field) not in DIFFERENT:
                wrong.append((name, field, theirs, known))
    assert not wrong
