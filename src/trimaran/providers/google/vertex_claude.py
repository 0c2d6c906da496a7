"""Claude on Vertex AI: Anthropic's Messages behind ``rawPredict``.

The body is that of Anthropic's API without ``model``, which is in the path, and with ``anthropic_version``, which is a header line
there. No value is decoded for that. Beta flags stay a header line: some unlock members only there. Flags that Vertex AI does not know would
have it refuse the request, and are left out: what they unlock has members of its own. The answer passes as it is.

Counting has one path for all models, and the model in its body.

Sources: https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai and its "Features overview"; anthropic 2.13.0 (Python
client), ``lib/vertex``; BerriAI/litellm, ``anthropic_beta_headers_config.json`` (``vertex_ai``) and pull request 22321 (flags count as a
header line only); anthropics/claude-code issue 12429 (counting refuses the flag of web search); all read 2026-11-30.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from trimaran.errors import UnsupportedFeature
from trimaran.providers.google.vertex import VertexDoor
from trimaran.wire import Envelope
from trimaran.wire.members import BAD_JSON, RawMembers, read_members

__all__ = ["VertexClaude", "VertexClaudeCount"]

ANTHROPIC_VERSION = b'"vertex-2023-10-16"'
"""Vertex AI's own. anthropic 2.13.0 sends 2026-10-21 there, which refuses ``temperature``, ``top_p`` and ``top_k``."""

_IDLE: dict[str, tuple[bytes, ...]] = {
    "service_tier": (b'"auto"', b'"standard_only"', b"null"),
    "speed": (b'"standard"', b"null"),
    "inference_geo": (b'"global"', b"null"),
    "mcp_servers": (b"[]", b"null"),
    "container": (b"null",),
}
"""Members that Vertex AI does not know, and values of them that ask for what it does anyway."""
_CUT_MEMBERS = {
    "mcp_servers": "Vertex AI has no MCP connector",
    "container": "Vertex AI runs no code and no skills",
    "inference_geo": "on Vertex AI the location says where it is computed",
    "speed": "Vertex AI has no fast mode",
    "service_tier": "Vertex AI has no tiers for Claude in the body",
}
_CUT_TOOLS = {
    "web_fetch_": "Vertex AI fetches no web pages",
    "code_execution_": "Vertex AI runs no code",
    "mcp_toolset": "Vertex AI has no MCP connector",
    "advisor_": "Vertex AI has no advisor",
}
_FLAGS = frozenset(
    {
        "compact-2026-01-12",
        "compact-2026-09-04",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dangerous-tool-use-2026-09-03",
        "interleaved-thinking-2025-05-14",
        "per-turn-control-2026-07-01",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "tool-search-tool-2025-10-19",
        "web-search-2025-03-05",
    }
)
_RENAMED = {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}
_NOT_COUNTED = frozenset({"web-search-2025-03-05"})

_BETA = re.compile(rb"^anthropic-beta: ([^\r\n]*)\r\n", re.MULTILINE)
_OWN_LINES = re.compile(rb"^anthropic-[a-z-]+: [^\r\n]*\r\n", re.MULTILINE)

_encode = msgspec.json.encode


class VertexClaude(VertexDoor):
    """Anthropic's Messages API."""

    _gone = frozenset({"model"})
    _known = _FLAGS

    def path(self, stream: bool) -> bytes:
        return self.publisher_path("streamRawPredict" if stream else "rawPredict")

    def admit(self, envelope: Envelope, forwarded: bytes) -> Sequence[str]:
        if envelope.dialect != self.dialect.name:
            return ()
        cut = _cut(envelope.members)
        if cut:
            said = ", ".join(f"{name!r} ({why})" for name, why in cut)
            raise UnsupportedFeature(
                f"target {self.target.id!r} is on Vertex AI, which does not have {said}; leave that out, or ask for a model "
                "with a target at Anthropic itself",
                field=cut[0][0],
            )
        return [f"anthropic-beta: {flag}" for flag in _flags(forwarded) if _RENAMED.get(flag, flag) not in self._known]

    def request(self, body: bytes, stream: bool, forwarded: bytes) -> tuple[bytes, bytes]:
        members, _ = read_members(body, frozenset())
        kept = [] if "anthropic_version" in members else [b'"anthropic_version":%b' % ANTHROPIC_VERSION]
        for name, value in members.items():
            if name in self._gone or bytes(value) in _IDLE.get(name, ()):
                continue
            kept.append(b"%b:%b" % (_encode(name), value))
        lines = _OWN_LINES.sub(b"", forwarded)
        flags = dict.fromkeys(each for flag in _flags(forwarded) if (each := _RENAMED.get(flag, flag)) in self._known)
        if flags:
            lines += b"anthropic-beta: %b\r\n" % ",".join(flags).encode("latin-1")
        return b"{%b}" % b",".join(kept), lines


class VertexClaudeCount(VertexClaude):
    """The counting of a prompt's tokens."""

    _gone = frozenset({"stream"})
    _known = _FLAGS - _NOT_COUNTED

    def path(self, stream: bool) -> bytes:
        return self.publisher_path("rawPredict", "count-tokens")


def _flags(forwarded: bytes) -> list[str]:
    """The beta flags that the client asked for."""
    return [flag.strip() for line in _BETA.findall(forwarded) for flag in line.decode("latin-1").split(",")]


def _cut(members: RawMembers) -> list[tuple[str, str]]:
    """What of a request Vertex AI does not have: member, or type of a tool, and reason."""
    found = [
        (name, why)
        for name, why in _CUT_MEMBERS.items()
        if name in members and bytes(members[name]) not in _IDLE.get(name, ())
    ]
    for kind in _kinds_of_tools(members):
        found += [(kind, why) for beginning, why in _CUT_TOOLS.items() if kind.startswith(beginning)]
    return found


class _Tool(msgspec.Struct):
    type: Any = None


_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode


def _kinds_of_tools(members: RawMembers) -> list[str]:
    raw = members.get("tools", b"null")
    if bytes(raw).find(b'"type"') < 0:
        return []
    try:
        return [tool.type for tool in _decode_tools(raw) or () if isinstance(tool.type, str)]
    except BAD_JSON:
        return []
