"""Reads a conversation back out of one prompt text, by the marks that model families tell turns apart with.

So a conversation that was sent as turns and one that was sent as a text with a template's marks get the same answer, and a
test sees turns that a template lost. A text without known marks is one turn of the user. Marks as the models' makers
document them: Llama 2, 3 and 4 (llama.com, "model cards and prompt formats"), Mistral (docs.mistral.ai, "tokenization"),
ChatML, Gemma and Phi-3 (their model cards); all read 2026-11-30.
"""

from __future__ import annotations

import re

from trimaran.testing.transcript import Transcript

__all__ = ["read_prompt"]

_HEADED = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\n\n(.*?)(?:<\|eot_id\|>|\Z)",
        r"<\|header_start\|>(\w+)<\|header_end\|>\n\n(.*?)(?:<\|eot\|>|\Z)",
        r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>\n?|\Z)",
        r"<start_of_turn>(\w+)\n(.*?)(?:<end_of_turn>\n?|\Z)",
        r"<\|(system|user|assistant)\|>\n(.*?)(?:<\|end\|>\n?|\Z)",
    )
)
_INSTRUCTED = re.compile(r"\[INST\](.*?)\[/INST\](.*?)(?=(?:<s>)?\s*\[INST\]|\Z)", re.DOTALL)
_SYSTEM = re.compile(r"<<SYS>>\n(.*?)\n<</SYS>>\n\n", re.DOTALL)
_SIDES = {"model": "assistant", "ipython": "user", "tool": "user"}


def read_prompt(text: str, transcript: Transcript) -> None:
    """Tell ``transcript`` who said what. The assistant's empty last turn, which it is to fill, is none."""
    for pattern in _HEADED:
        if found := pattern.findall(text):
            for role, said in found:
                _say(transcript, _SIDES.get(role, role), said.strip())
            return
    if found := _INSTRUCTED.findall(text):
        for asked, answered in found:
            for system in _SYSTEM.findall(asked):
                transcript.system(system)
            _say(transcript, "user", _SYSTEM.sub("", asked).strip())
            _say(transcript, "assistant", answered.replace("</s>", "").strip())
        return
    _say(transcript, "user", text)


def _say(transcript: Transcript, side: str, text: str) -> None:
    if side == "system":
        transcript.system(text)
    elif text:
        transcript.turn(side)
        transcript.text(text)
