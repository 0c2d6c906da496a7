"""What became of one request, as the client must see it: whole, refused cleanly, visibly broken; or wrong. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from chaos.clients import Reply
from chaos.plan import TARGETS, Target, continued_text, whole_text

__all__ = ["Verdict", "judge_reply"]

_ENDS = {"openai.chat": "[DONE]", "anthropic.messages": "message_stop"}
_STATUSES = frozenset((400, 402, 429, 502, 503, 504))
"""What this traffic may be refused with; 500 would be a mistake of the gateway's own, 401 a key that it forgot."""


class Verdict(msgspec.Struct):
    """``kind``: ``whole``, ``error NNN``, ``error event``, ``broken``, ``left`` or ``wrong``; ``why`` where it is wrong."""

    kind: str
    why: str = ""


def judge_reply(reply: Reply) -> Verdict:
    """The verdict on one reply."""
    answer = reply.answer
    if answer.end == "late":
        return Verdict("wrong", "no end within the client's patience")
    if answer.end != "complete":
        if answer.status == 200 and reply.stream and _marked(reply):
            return (
                Verdict("wrong", "the connection broke after an end marker")
                if answer.end == "broken"
                else Verdict("left")
            )
        return Verdict(answer.end)
    if answer.status != 200:
        return _refusal(reply)
    return _stream(reply) if reply.stream else _unary(reply)


def _refusal(reply: Reply) -> Verdict:
    status = reply.answer.status
    if status not in _STATUSES:
        return Verdict("wrong", f"status {status}: {bytes(reply.answer.body[:300])!r}")
    try:
        body = msgspec.json.decode(bytes(reply.answer.body))
        error = body["error"]
        fits = isinstance(error["message"], str) and error["message"] and isinstance(error["type"], str)
        if reply.dialect == "anthropic.messages":
            fits = fits and body["type"] == "error"
    except (msgspec.DecodeError, KeyError, TypeError):
        fits = False
    return Verdict(f"error {status}") if fits else Verdict("wrong", f"not an error of {reply.dialect}")


def _unary(reply: Reply) -> Verdict:
    try:
        body = msgspec.json.decode(bytes(reply.answer.body))
        if reply.dialect == "openai.chat":
            text, finish = body["choices"][0]["message"]["content"], body["choices"][0]["finish_reason"]
        else:
            text, finish = "".join(block["text"] for block in body["content"]), body["stop_reason"]
    except (msgspec.DecodeError, KeyError, TypeError, IndexError):
        return Verdict("wrong", f"an answer that cannot be read: {bytes(reply.answer.body[:200])!r}")
    if finish not in ("stop", "end_turn"):
        return Verdict("wrong", f"finish reason {finish!r}")
    return _whole(reply, text)


def _stream(reply: Reply) -> Verdict:
    text, error, ended = "", False, False
    try:
        for name, data in _events(reply):
            if error or ended:
                return Verdict("wrong", "events after the end")
            ended = data == "[DONE]" if reply.dialect == "openai.chat" else name == "message_stop"
            if not ended:
                event = msgspec.json.decode(data)
                error = "error" in event
                text += _said(event)
    except (msgspec.DecodeError, KeyError, TypeError, IndexError):
        return Verdict("wrong", "a stream that cannot be read")
    if error:
        return (
            Verdict("error event") if _is_beginning(reply, text) else Verdict("wrong", f"not what was said: {text!r}")
        )
    if not ended:
        return Verdict("wrong", "a stream that ended by HTTP's rules without end marker or error")
    return _whole(reply, text)


def _said(event: dict[str, Any]) -> str:
    if event.get("type") == "content_block_delta":
        return str(event["delta"]["text"])
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices") or ())


def _events(reply: Reply) -> list[tuple[str, str]]:
    found = []
    for block in bytes(reply.answer.body).decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line.partition(":") for line in block.split("\n")]
        values = {name: value.strip() for name, _, value in lines}
        if "data" in values:
            found.append((values.get("event", ""), values["data"]))
    return found


def _marked(reply: Reply) -> bool:
    marker = "data: [DONE]" if reply.dialect == "openai.chat" else "event: message_stop"
    return marker.encode() in reply.answer.body


def _target(reply: Reply) -> Target | None:
    named = reply.answer.headers.get("x-trimaran-target", "").partition("/")[0]
    return next((target for target in TARGETS if target.name == named), None)


def _whole(reply: Reply, text: str) -> Verdict:
    target = _target(reply)
    if target is None:
        return Verdict("wrong", "an answer from a target that there is not")
    expected = whole_text(target, reply.prompt)
    if text == expected or _is_continued(reply, expected, text):
        return Verdict("whole")
    return Verdict(
        "wrong", f"presented as whole, but is not: {len(text)} of {len(expected)} characters: {text[:200]!r}"
    )


def _is_continued(reply: Reply, begun: str, text: str) -> bool:
    """Whether one target began and another one went on to its own end."""
    if reply.model != "onward":
        return False
    for other in TARGETS:
        rest = continued_text(other, reply.prompt)
        if text.endswith(rest) and begun.startswith(text[: -len(rest)].rstrip()):
            return True
    return False


def _is_beginning(reply: Reply, text: str) -> bool:
    target = _target(reply)
    if target is None:
        return False
    if whole_text(target, reply.prompt).startswith(text):
        return True
    # Begun, gone on with, and broken once more: the seam is somewhere.
    return reply.model == "onward" and whole_text(target, reply.prompt).startswith(text[:10])
