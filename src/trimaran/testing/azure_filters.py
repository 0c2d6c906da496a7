"""Azure's content filter as it shows in answers: verdicts beside everything that OpenAI's API says.

Chat: the stream begins with a chunk that has no choices, no id and no model, but ``prompt_filter_results``; every choice carries
``content_filter_results``. With an asynchronous filter the verdicts come in chunks whose choice has no ``delta``. Responses:
``content_filters`` in the response that ends a stream, and in a whole one. Shapes as quoted in public issue threads (2023 to 2026)
and in learn.microsoft.com, "Content filtering" and "Content streaming" (read 2026-11-30).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trimaran.testing.azure import AzureRefusal
from trimaran.testing.dialect import AnswerWriter
from trimaran.testing.exchange import Refusal
from trimaran.testing.openai_common import encode

__all__ = ["AnnotatedChat", "AnnotatedResponse", "RewritingWriter", "prompt_refused", "verdicts"]

_FLAGS = ("jailbreak", "protected_material_code", "protected_material_text")
_SEVERITIES = ("hate", "self_harm", "sexual", "violence")
_REFUSED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt "
    "and retry. To learn more about our content filtering policies please read our documentation: "
    "https://go.microsoft.com/fwlink/?linkid=2198766"
)


def verdicts(filtered: str | None = None, severity: str = "safe", *, prompt: bool = False) -> dict[str, Any]:
    """What the filter says of a text by category; ``filtered``: the category that stops it."""
    flags = ("jailbreak",) if prompt else _FLAGS[1:]
    rows: dict[str, Any] = {name: {"filtered": False, "severity": "safe"} for name in _SEVERITIES}
    rows |= {name: {"filtered": False, "detected": False} for name in flags}
    if filtered in _FLAGS:
        rows[filtered] = {"filtered": True, "detected": True}
    elif filtered is not None:
        rows[filtered] = {"filtered": True, "severity": severity}
    return rows


def prompt_refused(category: str, severity: str, *, responses: bool) -> AzureRefusal:
    """The 400 for a prompt that the filter stops. The two APIs say why in different places."""
    why = verdicts(category, severity, prompt=True)
    kind = "invalid_request_error" if responses else None
    members: dict[str, Any] = {"type": kind, "param": "prompt"}
    if responses:
        members["content_filters"] = [{"blocked": True, "source_type": "prompt", "content_filter_results": why}]
    else:
        members |= {"status": 400}
        members["innererror"] = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": why}
    return AzureRefusal(400, "content_filter", _REFUSED, **members)


class RewritingWriter:
    """Another writer's answer with some members changed. Subclasses say which."""

    def __init__(self, inner: AnswerWriter, lines: Callable[[], bytes]) -> None:
        self._inner = inner
        self._lines = lines
        self.content_type = inner.content_type

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """A whole answer, changed."""
        return body

    def event(self, data: dict[str, Any]) -> dict[str, Any]:
        """The data of a stream's event, changed."""
        return data

    def lines(self, took_ms: int) -> bytes:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        return self._inner.lines(took_ms) + self._lines()

    def unary(self) -> bytes:
        """The whole answer."""
        return encode(self.whole(msgspec.json.decode(self._inner.unary())))

    def unary_error(self, refusal: Refusal) -> bytes:
        """As it was."""
        return self._inner.unary_error(refusal)

    def opening(self) -> bytes:
        """Events before the first content."""
        return self._events(self._inner.opening())

    def piece(self, piece: str) -> bytes:
        """The event of one token."""
        return self._events(self._inner.piece(piece))

    def closing(self, *, end_marker: bool) -> bytes:
        """The last events."""
        return self._events(self._inner.closing(end_marker=end_marker))

    def malformed(self) -> bytes:
        """As it was."""
        return self._inner.malformed()

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """As it was."""
        return self._inner.error(refusal, bare=bare)

    def _events(self, events: bytes) -> bytes:
        blocks = events.split(b"\n\n")[:-1]
        return b"".join(self._block(block) + b"\n\n" for block in blocks)

    def _block(self, block: bytes) -> bytes:
        head, mark, data = block.partition(b"data: ")
        if data == b"[DONE]":
            return block
        return head + mark + encode(self.event(msgspec.json.decode(data)))


class AnnotatedChat(RewritingWriter):
    """Chat completions with verdicts. ``filtered``: the category that ended the answer."""

    def __init__(
        self,
        inner: AnswerWriter,
        lines: Callable[[], bytes],
        *,
        filtered: str | None,
        severity: str,
        asynchronous: bool,
    ) -> None:
        super().__init__(inner, lines)
        self._filtered = filtered
        self._severity = severity
        self._asynchronous = asynchronous
        self._sent = 0

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """Verdicts on the prompt and on the answer."""
        body["prompt_filter_results"] = _on_prompt()
        for choice in body["choices"]:
            choice["content_filter_results"] = self._verdicts()
            if self._filtered is not None:
                choice["message"].pop("content", None)
        return body

    def opening(self) -> bytes:
        """The chunk about the prompt comes first."""
        blank = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        first = b"data: %b\n\n" % encode({**blank, "prompt_filter_results": _on_prompt()})
        return first + super().opening()

    def event(self, data: dict[str, Any]) -> dict[str, Any]:
        """Verdicts beside every choice, or, if they come later, nothing."""
        if "choices" not in data:
            return data
        for choice in data["choices"]:
            self._sent += len(choice["delta"].get("content") or "")
            if choice["finish_reason"] == "content_filter":
                choice["content_filter_results"] = self._verdicts()
            elif not self._asynchronous:
                choice["content_filter_results"] = verdicts() if choice["delta"].get("content") else {}
        return data

    def closing(self, *, end_marker: bool) -> bytes:
        """With an asynchronous filter, what it says of the whole text comes before the end."""
        if not self._asynchronous:
            return super().closing(end_marker=end_marker)
        offsets = {"check_offset": 0, "start_offset": 0, "end_offset": self._sent}
        choice = {
            "index": 0,
            "finish_reason": None,
            "content_filter_results": verdicts(),
            "content_filter_offsets": offsets,
        }
        late = {"id": "", "object": "", "created": 0, "model": "", "choices": [choice], "usage": None}
        return b"data: %b\n\n" % encode(late) + super().closing(end_marker=end_marker)

    def _verdicts(self) -> dict[str, Any]:
        return verdicts(self._filtered, self._severity)


class AnnotatedResponse(RewritingWriter):
    """Responses with verdicts."""

    def __init__(self, inner: AnswerWriter, lines: Callable[[], bytes], *, filtered: str | None, severity: str) -> None:
        super().__init__(inner, lines)
        self._filtered = filtered
        self._severity = severity

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """Verdicts on both sides, once there is an answer."""
        ended = body.get("status") in ("completed", "incomplete")
        body["content_filters"] = self._verdicts() if ended else None
        return body

    def event(self, data: dict[str, Any]) -> dict[str, Any]:
        """Events that hold the response."""
        if isinstance(data.get("response"), dict):
            self.whole(data["response"])
        return data

    def _verdicts(self) -> list[dict[str, Any]]:
        rows = [("prompt", False, verdicts(prompt=True))]
        rows.append(("completion", self._filtered is not None, verdicts(self._filtered, self._severity)))
        return [
            {"blocked": blocked, "source_type": side, "content_filter_raw": [], "content_filter_results": said}
            for side, blocked, said in rows
        ]


def _on_prompt() -> list[dict[str, Any]]:
    return [{"prompt_index": 0, "content_filter_results": verdicts(prompt=True)}]
