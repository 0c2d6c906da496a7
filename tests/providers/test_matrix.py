"""The matrix says what happens; what is lost is justified, and a few cells are known from the vendors' documentation."""

from __future__ import annotations

import pytest

from trimaran.providers import matrix_page
from trimaran.providers.matrix import ANSWER_FEATURES, REQUEST_FEATURES, answer_matrix, chat_dialects, request_matrix
from trimaran.providers.rows import PROVIDERS

ANSWERS = {dialect.name: answer_matrix(dialect) for dialect in chat_dialects()}
REQUESTS = {dialect.name: request_matrix(dialect) for dialect in chat_dialects()}


def cell(client: str, provider: str, feature: str) -> tuple[str, str]:
    row = REQUESTS[client][feature]
    found = next(value for names, value in row.items() if provider in names)
    return found.verdict, found.detail


def test_every_loss_has_its_reason_and_every_reason_a_loss() -> None:
    assert matrix_page.unexplained(ANSWERS) == []
    lost = {
        name
        for table in ANSWERS.values()
        for name, row in table.items()
        if any(value.verdict == "lost" for value in row.values())
    }
    assert lost == set(matrix_page.LOST)


def test_every_provider_and_feature_stands_in_it() -> None:
    for table in REQUESTS.values():
        assert set(table) == set(REQUEST_FEATURES)
        for row in table.values():
            assert {name for names in row for name in names} == set(PROVIDERS)
    assert all(set(table) == set(ANSWER_FEATURES) for table in ANSWERS.values())


@pytest.mark.parametrize("feature", REQUEST_FEATURES)
def test_every_feature_can_be_said_by_some_client(feature: str) -> None:
    assert any(value.verdict for table in REQUESTS.values() for value in table[feature].values())


@pytest.mark.parametrize("feature", ANSWER_FEATURES)
def test_every_feature_of_answers_comes_from_some_provider(feature: str) -> None:
    assert any(value.verdict == "carried" for table in ANSWERS.values() for value in table[feature].values())


@pytest.mark.parametrize("dialect", [dialect.name for dialect in chat_dialects()])
def test_the_same_dialect_carries_all_that_it_can_say(dialect: str) -> None:
    assert {row[dialect].verdict for row in ANSWERS[dialect].values()} <= {"carried", ""}


@pytest.mark.parametrize(
    ("client", "provider", "feature", "expected"),
    [
        ("openai.chat", "anthropic", "seed", ("refused", "seed")),
        ("openai.chat", "anthropic", "tools", ("translated", "anthropic.messages")),
        ("openai.chat", "anthropic", "JSON object", ("emulated", "response_format")),
        ("anthropic.messages", "openai", "cache markers, 1 hour", ("left out", "cache_control")),
        ("anthropic.messages", "openai", "top_k", ("refused", "top_k")),
        # Chat Completions cannot, Responses can, and OpenAI speaks both.
        ("anthropic.messages", "openai", "picture as tool result", ("translated", "openai.responses")),
        ("anthropic.messages", "mistral", "picture as tool result", ("emulated", "messages[2]")),
        ("openai.responses", "anthropic", "Anthropic's reasoning returned", ("translated", "anthropic.messages")),
        ("openai.responses", "deepseek", "stop sequences", ("", "")),
        ("openai.chat", "bedrock", "seed", ("refused", "seed")),
        ("openai.chat", "bedrock", "image, by URL", ("refused", "messages[0]")),
        ("openai.chat", "bedrock", "JSON schema", ("translated", "bedrock.converse")),
        ("anthropic.messages", "bedrock", "cache markers, 1 hour", ("translated", "bedrock.converse")),
        # The other account's signature.
        ("anthropic.messages", "bedrock", "own reasoning returned", ("left out", "reasoning")),
        ("openai.responses", "bedrock", "Bedrock's reasoning returned", ("translated", "bedrock.converse")),
    ],
)
def test_cells_known_from_elsewhere(client: str, provider: str, feature: str, expected: tuple[str, str]) -> None:
    assert cell(client, provider, feature) == expected
