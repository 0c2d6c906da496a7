"""Reads a conversation back out of the one prompt that Llama and Mistral models take, by their makers' templates.

Strict where a model would only answer badly: a prompt with a template's tokens must keep to that template, so that whoever
writes one is told of a slip. A prompt without any token is one turn of the user, as AWS's own examples send it.

Sources: llama.com, "Model cards and prompt formats" (Llama 3 and 4); docs.mistral.ai, "Tokenization"; AWS's guide, "Meta
Llama models" and "Mistral AI text completion"; all read 2026-11-30.
"""

from __future__ import annotations

import re

from trimaran.testing.aws import AwsRefusal
from trimaran.testing.bedrock_dialect import malformed
from trimaran.testing.transcript import Transcript

__all__ = ["read_llama", "read_mistral"]

_LLAMA = {
    3: (r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\n\n", "<|eot_id|>"),
    4: (r"<\|header_start\|>(\w+)<\|header_end\|>\n\n", "<|eot|>"),
}
"""The header of a turn, and its end, by generation."""
_BEGIN = "<|begin_of_text|>"
_LLAMA_TOKEN = re.compile(r"<\|[a-z_]+\|>")
_IMAGE_TOKEN = "<|image|>"
_MISTRAL_TOKEN = re.compile(r"\[/?INST\]|</?s>|\[/?SYSTEM_PROMPT\]")
_SYSTEM = re.compile(r"\s*\[SYSTEM_PROMPT\](.*?)\[/SYSTEM_PROMPT\]", re.DOTALL)
_INSTRUCTION = re.compile(r"\s*\[INST\](.*?)\[/INST\]", re.DOTALL)


def read_llama(prompt: str, generation: int, images: int, transcript: Transcript) -> None:
    """The turns of a Llama prompt. ``generation`` is 3 or 4. Raises a ``ValidationException`` for another template."""
    if prompt.count(_IMAGE_TOKEN) != images:
        raise _malformed(f"the prompt has {prompt.count(_IMAGE_TOKEN)} image tokens and the request {images} images")
    prompt = prompt.replace(_IMAGE_TOKEN, "")
    if not _LLAMA_TOKEN.search(prompt):
        _say("user", prompt, transcript)
        return
    header, end = _LLAMA[generation]
    if not prompt.startswith(_BEGIN):
        raise _malformed(f"a prompt of this model begins with {_BEGIN}")
    rest, side = prompt.removeprefix(_BEGIN), ""
    while (found := re.match(header, rest)) is not None:
        side = found[1]
        text, ended, rest = rest[found.end() :].partition(end)
        if not ended:
            _complete(side, text, transcript)
            return
        _turn(side, text, transcript)
    raise _malformed(f"expected the header of a turn, found {rest[:40]!r}; a prompt ends with the assistant's")


def _complete(side: str, begun: str, transcript: Transcript) -> None:
    """The last turn, which the model goes on with."""
    if side != "assistant":
        raise _malformed(f"the last turn is the {side}'s and has no end; a prompt ends with the assistant's header")
    if begun:
        _turn(side, begun, transcript)


def _turn(side: str, text: str, transcript: Transcript) -> None:
    if (token := _LLAMA_TOKEN.search(text)) is not None:
        raise _malformed(f"{token[0]} is not allowed inside a turn")
    if side == "ipython":
        transcript.turn("user")
        transcript.tool_result()
        transcript.chars(len(text))
    elif side == "system":
        transcript.system(text)
    elif side in ("user", "assistant"):
        _say(side, text, transcript)
    else:
        raise _malformed(f"there is no role {side!r}")


def read_mistral(prompt: str, transcript: Transcript) -> None:
    """The turns of a Mistral prompt. Raises a ``ValidationException`` for one that breaks off its tokens."""
    if not _MISTRAL_TOKEN.search(prompt):
        _say("user", prompt, transcript)
        return
    if not prompt.startswith("<s>"):
        raise _malformed("a prompt of this model begins with <s>")
    rest = prompt.removeprefix("<s>")
    if (system := _SYSTEM.match(rest)) is not None:
        transcript.system(_plain(system[1]))
        rest = rest[system.end() :]
    while (asked := _INSTRUCTION.match(rest)) is not None:
        _say("user", _plain(asked[1]), transcript)
        answer, ended, rest = rest[asked.end() :].partition("</s>")
        if answer.strip():
            _say("assistant", _plain(answer), transcript)
        if not ended:
            return
    raise _malformed(f"expected [INST] … [/INST], found {rest[:40]!r}; a prompt ends with an instruction")


def _plain(text: str) -> str:
    """A text without the spaces that the template puts around it. Raises for one with tokens in it."""
    if (token := _MISTRAL_TOKEN.search(text)) is not None:
        raise _malformed(f"{token[0]} is not allowed inside a turn")
    return text.strip(" ")


def _say(side: str, text: str, transcript: Transcript) -> None:
    transcript.turn(side)
    transcript.text(text)


def _malformed(why: str) -> AwsRefusal:
    return malformed(f"#/prompt: {why}")
