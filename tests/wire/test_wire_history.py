"""Tool calls and their results: which histories are whole, and what is said of those that are not."""

from __future__ import annotations

import pytest

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import Message, Part, Role, Text, ToolCall, ToolResult
from trimaran.wire.history import check_history


def call(id: str) -> ToolCall:
    return ToolCall(id, "f", "{}")


def result(id: str) -> ToolResult:
    return ToolResult(id, [Text("x")])


def turns(*items: tuple[Role, list[Part]]) -> list[Message]:
    return [Message(role, parts, f"messages[{place}]") for place, (role, parts) in enumerate(items)]


ASK: tuple[Role, list[Part]] = ("user", [Text("?")])


@pytest.mark.parametrize(
    "history",
    [
        [],
        [ASK],
        [ASK, ("assistant", [call("a")]), ("user", [result("a")])],
        [ASK, ("assistant", [Text("t"), call("a"), call("b")]), ("user", [result("b"), result("a"), Text("and?")])],
        [ASK, ("assistant", [call("a"), call("b")]), ("user", [result("a")]), ("user", [result("b")]), ASK],
        [ASK, ("assistant", [call("a")]), ("assistant", [Text("t")]), ("user", [result("a")])],
        [ASK, ("assistant", [call("a")]), ("user", [result("a")]), ("assistant", [call("b")]), ("user", [result("b")])],
        [("assistant", [Text("t")]), ("system", [Text("s")]), ASK],
    ],
)
def test_whole_histories(history: list[tuple[Role, list[Part]]]) -> None:
    check_history(turns(*history))


@pytest.mark.parametrize(
    ("history", "field", "words"),
    [
        ([("user", [result("a")])], "messages[0]", "which no earlier turn made"),
        ([ASK, ("assistant", [call("a")]), ("user", [result("b")])], "messages[2]", "which no earlier turn made"),
        (
            [ASK, ("assistant", [call("a")]), ("user", [result("a"), result("a")])],
            "messages[2]",
            "which has its result already",
        ),
        ([ASK, ("assistant", [call("a")]), ASK], "messages[1]", "the call 'a' is missing before 'messages[2]'"),
        ([ASK, ("assistant", [call("a")])], "messages[1]", "missing before the conversation ends"),
        ([ASK, ("assistant", [call("a"), call("b")]), ("user", [result("a")])], "messages[1]", "'b' is missing"),
        ([ASK, ("assistant", [call("a")]), ("user", [Text("first"), result("a")])], "messages[1]", "'a' is missing"),
        ([ASK, ("assistant", [call("a")]), ("system", [Text("s")])], "messages[1]", "before 'messages[2]'"),
        ([ASK, ("assistant", [call("a"), call("a")])], "messages[1]", "stands twice"),
        (
            [ASK, ("assistant", [call("a")]), ("user", [result("a")]), ("assistant", [call("a")])],
            "messages[3]",
            "stands twice",
        ),
        (
            [
                ASK,
                ("assistant", [call("a")]),
                ("user", [result("a")]),
                ("assistant", [Text("t")]),
                ("user", [result("a")]),
            ],
            "messages[4]",
            "which has its result already",
        ),
        (
            [ASK, ("assistant", [call("a")]), ("user", [result("a"), Text("t"), result("a")])],
            "messages[2]",
            "must stand right after the turn that made it",
        ),
    ],
)
def test_broken_histories(history: list[tuple[Role, list[Part]]], field: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_history(turns(*history))
    assert caught.value.field == field
    assert words in caught.value.message
