"""Tools that the provider runs itself: what they can do to the bill of one request.

Most tools are the client's: the model names one, and the client acts. A hosted tool is run by the provider within the
answer, as often as the model likes. Every run can be charged, what it finds becomes input, and the model reads its whole
prompt again after it. So a request with hosted tools has a bound only where it limits the runs:

* Responses: ``max_tool_calls``, over all hosted tools of the answer
  (https://platform.openai.com/docs/api-reference/responses/create, read 2026-11-24).
* Messages: ``max_uses`` of each tool limits what is charged. A model that asks for more is told so and goes on, within the
  10 turns after which the provider pauses (https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool
  and server-tools, read 2026-11-24). The versions from 2026 on run code between their searches.

Any other tool that is run elsewhere (code, containers, MCP, pictures, another model) has no limit that is known here.
"""

from __future__ import annotations

import re

import msgspec

from trimaran.wire.members import BAD_JSON

__all__ = ["NO_TOOLS", "Hosted", "hosted_tools"]

_OF_THE_CLIENT = re.compile(
    r"(function|custom|local_shell|apply_patch|computer|computer_use_preview|(bash|text_editor|computer|memory)_\d{8})"
)
_WEB_SEARCH = frozenset({"web_search", "web_search_2025_08_26"})
_WEB_SEARCH_PREVIEW = frozenset({"web_search_preview", "web_search_preview_2025_03_11"})
_LIMITED_BY_USES = {"web_search_20250305": True, "web_fetch_20250910": False}
"""Type, and whether a use is charged."""
_TURNS = 10
_MOST_RUNS = 10_000
"""Beyond it nothing is limited in earnest."""


class Hosted(msgspec.Struct, frozen=True):
    """The most that hosted tools can do within one answer."""

    explained: int = 0
    """Tools that the provider knows by their type and explains to its model."""
    turns: int = 1
    """How often the model reads its prompt."""
    web_searches: int = 0
    file_searches: int = 0
    repeats_output: bool = False
    """The client's limit on output counts for each turn between the runs."""
    preview: bool = False
    """A search of the older kind is among them, whose fee depends on whether the model reasons."""


NO_TOOLS = Hosted()


class _Tool(msgspec.Struct):
    type: str | None = None
    max_uses: int | None = None


_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode
_decode_count = msgspec.json.Decoder(int | None).decode


def hosted_tools(raw: msgspec.Raw, max_tool_calls: msgspec.Raw | None) -> Hosted | None:
    """What the tools of a request can do, by the raw values of its members ``tools`` and ``max_tool_calls``; ``None``: that
    has no limit, or it is unknown."""
    try:
        tools = _decode_tools(raw)
        calls = None if max_tool_calls is None else _decode_count(max_tool_calls)
    except BAD_JSON:
        return None
    explained = uses = searches = 0
    hosted = False
    by_calls: set[str] = set()
    for tool in tools or ():
        kind = tool.type
        if kind is None or kind == "function":
            continue
        if _OF_THE_CLIENT.fullmatch(kind) is not None:
            explained += 1
        elif kind in _LIMITED_BY_USES:
            if tool.max_uses is None or not 0 <= tool.max_uses <= _MOST_RUNS:
                return None
            explained += 1
            hosted = True
            uses += tool.max_uses
            searches += tool.max_uses * _LIMITED_BY_USES[kind]
        elif kind in _WEB_SEARCH or kind in _WEB_SEARCH_PREVIEW or kind == "file_search":
            if calls is None or not 0 <= calls <= _MOST_RUNS:
                return None
            explained += 1
            by_calls.add(kind)
        else:
            return None
    if by_calls and hosted:
        # No API has both.
        return None
    if not by_calls:
        turns = max(_TURNS, uses + 1) if hosted else 1
        return Hosted(explained, turns, searches, repeats_output=hosted)
    assert calls is not None
    return Hosted(
        explained,
        calls + 1,
        calls if by_calls - {"file_search"} else 0,
        calls if "file_search" in by_calls else 0,
        False,
        not by_calls.isdisjoint(_WEB_SEARCH_PREVIEW),
    )
