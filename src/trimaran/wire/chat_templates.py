"""A conversation as one prompt, for models that are served without an API of turns: by what marks their families were
trained to tell turns apart.

A template is a row of data. Each is written as its model's maker documents it, without what makers add for their own
products (dates, tools). It begins with the token that begins a text, because the servers that take a prompt document it so,
and ends where the assistant goes on.

The marks are control tokens: whoever could write one into a turn could end it and speak as somebody else. So one that
stands in a client's words is broken up by a zero-width space after its first character. The model reads the same letters
and no control token, and the translation notes it. Pieces of one turn are joined before they are looked at, so that no
token comes into being between two of them.

A text that a template has no place for (a picture, a call of a tool, instructions in the middle of a conversation) is
refused by name.

Sources: llama.com/docs/model-cards-and-prompt-formats (Llama 3 and 4, read 2026-11-30). The other rows follow the formats
that their makers published with the models, and were not held against the makers' own files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from trimaran.wire.conversation import ChatRequest, Message, Notes, Part, Reasoning, Text
from trimaran.wire.refusals import Refusals

__all__ = ["TEMPLATES", "ChatTemplate", "is_end", "prompt", "template_of", "without_end"]

_BREAK = "\u200b"
_BARRED = r"<\|[A-Za-z0-9_]+\|>"
_MISTRAL = (
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|THINK|MODEL_SETTINGS)\]|</?s>|<unk>|<pad>"
    r"|\[(?:TOOL_CALLS|TOOL_CONTENT|CALL_ID|ARGS|IMG|IMG_BREAK|IMG_END|PREFIX|MIDDLE|SUFFIX|AUDIO|BEGIN_AUDIO)\]"
)


class ChatTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """How one family of models is told who speaks."""

    name: str
    begin: str = ""
    """Begins the prompt."""
    before: Mapping[str, str]
    """By role: what opens a turn. A role that is missing has no turns of its own."""
    after: Mapping[str, str]
    """By role: what ends a turn."""
    answer: str = ""
    """Ends the prompt: the assistant goes on."""
    instructions: tuple[str, str] | None = None
    """Where instructions have no turn of their own: what stands around them in the user's first one."""
    control: str
    """A pattern of all its control tokens."""
    stop: tuple[str, ...]
    """What a model of the family writes to end its turn."""
    trims: bool = False
    """Spaces around a text say nothing."""

    def neutralised(self, text: str) -> str:
        """``text`` with its control tokens broken up. The same object when there is none."""
        tokens = _pattern(self.control)
        return text if tokens.search(text) is None else tokens.sub(_broken, text)


def _rows() -> tuple[ChatTemplate, ...]:
    def headed(begin: str, end: str) -> dict[str, str]:
        return {role: f"{begin}{role}{end}" for role in ("system", "user", "assistant")}

    def ended(end: str) -> dict[str, str]:
        return dict.fromkeys(("system", "user", "assistant"), end)

    return (
        ChatTemplate(
            name="llama3",
            begin="<|begin_of_text|>",
            before=headed("<|start_header_id|>", "<|end_header_id|>\n\n"),
            after=ended("<|eot_id|>"),
            answer="<|start_header_id|>assistant<|end_header_id|>\n\n",
            control=_BARRED,
            stop=("<|eot_id|>",),
            trims=True,
        ),
        ChatTemplate(
            name="llama4",
            begin="<|begin_of_text|>",
            before=headed("<|header_start|>", "<|header_end|>\n\n"),
            after=ended("<|eot|>"),
            answer="<|header_start|>assistant<|header_end|>\n\n",
            control=_BARRED,
            stop=("<|eot|>",),
            trims=True,
        ),
        ChatTemplate(
            name="llama2",
            begin="<s>",
            before={"user": "[INST] ", "assistant": " "},
            after={"user": " [/INST]", "assistant": " </s><s>"},
            instructions=("<<SYS>>\n", "\n<</SYS>>\n\n"),
            control=r"\[/?INST\]|<</?SYS>>|</?s>|<unk>",
            stop=("</s>",),
            trims=True,
        ),
        ChatTemplate(
            name="mistral",
            begin="<s>",
            before={"user": "[INST] ", "assistant": " "},
            after={"user": " [/INST]", "assistant": "</s>"},
            instructions=("", "\n\n"),
            control=_MISTRAL,
            stop=("</s>",),
        ),
        ChatTemplate(
            name="mistral-tekken",
            begin="<s>",
            before={"user": "[INST]", "assistant": ""},
            after={"user": "[/INST]", "assistant": "</s>"},
            instructions=("", "\n\n"),
            control=_MISTRAL,
            stop=("</s>",),
        ),
        ChatTemplate(
            name="mistral-v7",
            begin="<s>",
            before={"system": "[SYSTEM_PROMPT]", "user": "[INST]", "assistant": ""},
            after={"system": "[/SYSTEM_PROMPT]", "user": "[/INST]", "assistant": "</s>"},
            control=_MISTRAL,
            stop=("</s>",),
        ),
        ChatTemplate(
            name="chatml",
            before=headed("<|im_start|>", "\n"),
            after=ended("<|im_end|>\n"),
            answer="<|im_start|>assistant\n",
            control=_BARRED,
            stop=("<|im_end|>",),
        ),
        ChatTemplate(
            name="gemma",
            begin="<bos>",
            before={"user": "<start_of_turn>user\n", "assistant": "<start_of_turn>model\n"},
            after={"user": "<end_of_turn>\n", "assistant": "<end_of_turn>\n"},
            answer="<start_of_turn>model\n",
            instructions=("", "\n\n"),
            control=r"<(?:start_of_turn|end_of_turn|start_of_image|end_of_image|bos|eos|pad|unk|mask|unused\d+)>",
            stop=("<end_of_turn>",),
            trims=True,
        ),
        ChatTemplate(
            name="phi3",
            before=headed("<|", "|>\n"),
            after=ended("<|end|>\n"),
            answer="<|assistant|>\n",
            control=_BARRED + "|</s>|<s>",
            stop=("<|end|>",),
        ),
        ChatTemplate(
            name="deepseek",
            begin="<\uff5cbegin\u2581of\u2581sentence\uff5c>",
            before={"system": "", "user": "<\uff5cUser\uff5c>", "assistant": "<\uff5cAssistant\uff5c>"},
            after={"system": "", "user": "", "assistant": "<\uff5cend\u2581of\u2581sentence\uff5c>"},
            answer="<\uff5cAssistant\uff5c>",
            control=r"<\uff5c[^\uff5c<>]*\uff5c>",
            stop=("<\uff5cend\u2581of\u2581sentence\uff5c>",),
        ),
    )


TEMPLATES: dict[str, ChatTemplate] = {template.name: template for template in _rows()}
"""By name."""

_FAMILIES: tuple[tuple[str, str], ...] = (
    (r"deepseek", "deepseek"),
    (r"llama[._-]?4", "llama4"),
    (r"llama[._-]?3", "llama3"),
    (r"llama[._-]?2", "llama2"),
    (r"nemo|pixtral|ministral", "mistral-tekken"),
    (
        r"mistral[._-]?(?:small[._-]?3|small[._-]?2[5-9]|large[._-]?24[._-]?11|medium|large[._-]?2[5-9])|magistral|devstral",
        "mistral-v7",
    ),
    (r"mistral|mixtral", "mistral"),
    (r"qwen|hermes|yi-|smollm|chatml|openchat", "chatml"),
    (r"gemma[._-]?[123](?!\d)", "gemma"),
    (r"phi[._-]?3", "phi3"),
)
"""A pattern of a base model's name, and its template; the first that is found counts, so a distilled model goes by whoever
trained it last."""


def template_of(base_model: str) -> ChatTemplate | None:
    """The template of a base model by its name, in whichever spelling (``llama-3.1-70b``,
    ``meta.llama3-1-70b-instruct-v1:0``); ``None`` where the family is not known, and guessing would garble every answer."""
    name = base_model.lower()
    for pattern, template in _FAMILIES:
        if re.search(pattern, name):
            return TEMPLATES[template]
    return None


_ENDS = tuple(sorted({end for template in TEMPLATES.values() for end in template.stop}))


def without_end(text: str) -> str:
    """An answer without the token that ended its turn, for servers that leave it there."""
    for end in _ENDS:
        if text.endswith(end):
            return text.removesuffix(end)
    return text


def is_end(text: str) -> bool:
    """Whether a streamed token is nothing but the end of a turn."""
    return text.strip() in _ENDS


class _Turn(NamedTuple):
    role: str
    text: str
    path: str


def prompt(request: ChatRequest, template: ChatTemplate, refusals: Refusals, notes: Notes) -> str:
    """The conversation of ``request`` as a prompt. What has no place in one goes to ``refusals``, what was changed or left
    out to ``notes``; the caller checks them."""
    turns = _merged(_turns(request, template, refusals, notes))
    if not any(turn.role != "system" for turn in turns):
        refusals.field("messages", "there is no turn")
    turns = _instructed(_neutral(turns, template, notes), template, refusals)
    begun = request.begun and bool(turns) and turns[-1].role == "assistant"
    written = [template.begin]
    for turn in turns[:-1] if begun else turns:
        text = turn.text.strip() if template.trims else turn.text
        written += (template.before[turn.role], text, template.after[turn.role])
    if begun:
        text = turns[-1].text.lstrip() if template.trims else turns[-1].text
        written += (template.before["assistant"], text)
    else:
        written.append(template.answer)
    return "".join(written)


def _neutral(turns: Sequence[_Turn], template: ChatTemplate, notes: Notes) -> list[_Turn]:
    """The turns without control tokens in their words."""
    found: list[_Turn] = []
    for turn in turns:
        clean = template.neutralised(turn.text)
        if clean is not turn.text:
            notes.emulate(turn.path)
        found.append(turn._replace(text=clean))
    return found


def _turns(request: ChatRequest, template: ChatTemplate, refusals: Refusals, notes: Notes) -> list[_Turn]:
    found: list[_Turn] = []
    if request.system:
        found.append(_Turn("system", _text(request.system, refusals.name("system"), refusals, notes), "system"))
    for message in request.messages:
        if message.role == "system" and _is_late(message, found, template):
            refusals.add(message.path, "instructions stand before the first turn in this model's prompt")
            continue
        found.append(_Turn(message.role, _text(message.parts, message.path, refusals, notes), message.path))
    return found


def _is_late(message: Message, before: Sequence[_Turn], template: ChatTemplate) -> bool:
    return template.instructions is not None and any(turn.role != "system" for turn in before)


def _text(parts: Sequence[Part], path: str, refusals: Refusals, notes: Notes) -> str:
    pieces: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            if part.cache:
                notes.omit(refusals.name("cache"))
            pieces.append(part.text)
        elif isinstance(part, Reasoning):
            notes.omit("reasoning")
        else:
            what = type(part).__name__
            name = {"ToolCall": "tool call", "ToolResult": "tool result"}.get(what, what.lower())
            refusals.add(path, f"a {name}; this model is asked with one prompt of text")
    return "\n\n".join(piece for piece in pieces if piece)


def _merged(turns: Sequence[_Turn]) -> list[_Turn]:
    """Consecutive turns of one role as one."""
    found: list[_Turn] = []
    for turn in turns:
        if found and found[-1].role == turn.role:
            last = found[-1]
            text = "\n\n".join(piece for piece in (last.text, turn.text) if piece)
            found[-1] = last._replace(text=text)
        else:
            found.append(turn)
    return found


def _instructed(turns: list[_Turn], template: ChatTemplate, refusals: Refusals) -> list[_Turn]:
    """The turns with the instructions in the user's first one, where the template has no turn for them."""
    if template.instructions is None:
        return turns
    system = turns[0] if turns and turns[0].role == "system" else None
    rest = turns[1:] if system is not None else turns
    if rest and rest[0].role != "user":
        refusals.add(rest[0].path or refusals.name("messages"), "this model's prompt begins with a turn of the user's")
        return rest
    if system is None or not rest:
        return rest
    before, after = template.instructions
    return [_Turn("user", f"{before}{system.text.strip()}{after}{rest[0].text}", rest[0].path), *rest[1:]]


_patterns: dict[str, re.Pattern[str]] = {}


def _pattern(source: str) -> re.Pattern[str]:
    found = _patterns.get(source)
    if found is None:
        found = _patterns[source] = re.compile(source)
    return found


def _broken(found: re.Match[str]) -> str:
    return found[0][0] + _BREAK + found[0][1:]
