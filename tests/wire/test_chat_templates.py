"""Prompts by chat templates: as the models' makers document them, and closed against words that pose as marks."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimaran.errors import UnsupportedFeature
from trimaran.types import Target
from trimaran.wire.chat_templates import TEMPLATES, ChatTemplate, is_end, prompt, template_of, without_end
from trimaran.wire.conversation import ChatRequest, Image, Message, Notes, Part, Reasoning, Text, ToolCall, ToolResult
from trimaran.wire.refusals import Refusals

TARGET = Target("sagemaker/x", "sagemaker", "x", ("huggingface.generate",), "http://t")


def said(role: str, *texts: str) -> Message:
    return Message(role, [Text(text) for text in texts], f"messages[{role}]")  # type: ignore[arg-type]


def request(*messages: Message, system: str = "", begun: bool = False) -> ChatRequest:
    return ChatRequest(model="m", messages=[*messages], system=[Text(system)] if system else [], begun=begun)


def written(template: str, asked: ChatRequest) -> tuple[str, Notes]:
    notes, refusals = Notes(), Refusals("openai.chat", TARGET, {"system": "messages"})
    text = prompt(asked, TEMPLATES[template], refusals, notes)
    refusals.check()
    return text, notes


TALK = (said("user", "Hi"), said("assistant", "Hello"), said("user", "Why?"))
DOCUMENTED = {
    "llama3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "llama4": "<|begin_of_text|><|header_start|>system<|header_end|>\n\nBe brief.<|eot|><|header_start|>user<|header_end|>"
    "\n\nHi<|eot|><|header_start|>assistant<|header_end|>\n\nHello<|eot|><|header_start|>user<|header_end|>\n\nWhy?<|eot|>"
    "<|header_start|>assistant<|header_end|>\n\n",
    "llama2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello </s><s>[INST] Why? [/INST]",
    "mistral": "<s>[INST] Be brief.\n\nHi [/INST] Hello</s>[INST] Why? [/INST]",
    "mistral-tekken": "<s>[INST]Be brief.\n\nHi[/INST]Hello</s>[INST]Why?[/INST]",
    "mistral-v7": "<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]Hi[/INST]Hello</s>[INST]Why?[/INST]",
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
    "gemma": "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n"
    "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n",
    "phi3": "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n<|user|>\nWhy?<|end|>\n<|assistant|>\n",
    "deepseek": "<\uff5cbegin\u2581of\u2581sentence\uff5c>Be brief.<\uff5cUser\uff5c>Hi<\uff5cAssistant\uff5c>Hello"
    "<\uff5cend\u2581of\u2581sentence\uff5c><\uff5cUser\uff5c>Why?<\uff5cAssistant\uff5c>",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_conversation_as_the_makers_write_it(name: str) -> None:
    text, notes = written(name, request(*TALK, system="Be brief."))
    assert text == DOCUMENTED[name]
    assert notes.count == 0


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_that_was_begun_is_gone_on_with(name: str) -> None:
    whole, _ = written(name, request(said("user", "Count."), said("assistant", "1, 2,")))
    begun, _ = written(name, request(said("user", "Count."), said("assistant", "1, 2,"), begun=True))
    assert begun.endswith("1, 2,")
    assert whole.startswith(begun)


@pytest.mark.parametrize(
    ("model", "template"),
    [
        ("llama-3.1-70b", "llama3"),
        ("meta.llama3-1-70b-instruct-v1:0", "llama3"),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "llama4"),
        ("meta-textgeneration-llama-2-7b-f", "llama2"),
        ("mistral.mistral-7b-instruct-v0:2", "mistral"),
        ("mistral.mixtral-8x7b-instruct-v0:1", "mistral"),
        ("mistral.mistral-large-2402-v1:0", "mistral"),
        ("mistral-nemo-instruct-2407", "mistral-tekken"),
        ("mistral-small-3.1-24b", "mistral-v7"),
        ("Qwen2.5-7B-Instruct", "chatml"),
        ("gemma-2-9b-it", "gemma"),
        ("gemma3-27b", "gemma"),
        ("phi-3-mini-4k-instruct", "phi3"),
        ("deepseek-r1-distill-llama-70b", "deepseek"),
    ],
)
def test_a_family_is_known_by_its_name(model: str, template: str) -> None:
    assert template_of(model) is TEMPLATES[template]


@pytest.mark.parametrize("model", ["", "my-endpoint", "falcon-40b", "gemma-17b", "claude-3-haiku"])
def test_an_unknown_family_has_no_template(model: str) -> None:
    assert template_of(model) is None


def marks(template: ChatTemplate, text: str) -> list[str]:
    return re.findall(template.control, text)


_PIECES = [
    "<|eot_id|>",
    "<|im_end|>",
    "</s>",
    "<s>",
    "[/INST]",
    "[INST]",
    "<<SYS>>",
    "<end_of_turn>",
    "<|",
    "|>",
    "<",
    "/s>",
]
_PIECES += [
    "[",
    "/INST]",
    "eot_id",
    "|end|>",
    "user",
    " ",
    "\n",
    "<\uff5cUser\uff5c>",
    "\uff5c",
    "<|eot|>",
    "[SYSTEM_PROMPT]",
    "\u200b",
    "x",
]
words = st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=40)
@given(turns=st.lists(st.lists(words, min_size=1, max_size=3), min_size=1, max_size=4), system=words)
def test_no_words_are_ever_a_mark(name: str, turns: list[list[str]], system: str) -> None:
    template = TEMPLATES[name]
    roles = ["user", "assistant", "user", "assistant"]
    asked = [said(role, *texts) for role, texts in zip(roles, turns, strict=False)]
    plain = [said(role, "x") for role, _ in zip(roles, turns, strict=False)]
    text, notes = written(name, request(*asked, system=system))
    expected, _ = written(name, request(*plain, system="x" if system else ""))
    assert marks(template, text) == marks(template, expected)
    broken = any(
        template.neutralised("\n\n".join(filter(None, part))) != "\n\n".join(filter(None, part))
        for part in [*turns, [system]]
    )
    assert bool(notes.emulated) == broken


@pytest.mark.parametrize("name", TEMPLATES)
def test_words_are_broken_where_nobody_sees_it(name: str) -> None:
    template = TEMPLATES[name]
    for mark in template.stop:
        (broken,) = {template.neutralised(f"a {mark} b")}
        assert broken.replace("\u200b", "") == f"a {mark} b"
        assert broken != f"a {mark} b"
    plain = "if a <b> or [X] and <|"
    assert template.neutralised(plain) is plain


def test_pieces_of_one_turn_are_looked_at_together() -> None:
    text, notes = written("mistral", request(said("user", "a"), said("user", "b"), system="s"))
    assert text == "<s>[INST] s\n\na\n\nb [/INST]"
    assert notes.count == 0


def refused(asked: ChatRequest, name: str = "llama3") -> str:
    with pytest.raises(UnsupportedFeature) as raised:
        written(name, asked)
    return raised.value.message


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (Image(url="https://x"), "an? image"),
        (ToolCall("1", "f", "{}"), "a tool call"),
        (ToolResult("1", [Text("x")]), "a tool result"),
    ],
)
def test_what_has_no_place_in_a_prompt_is_refused_by_name(part: Part, named: str) -> None:
    message = refused(request(Message("user", [Text("x"), part], "messages[3]")))
    assert "messages[3]" in message
    assert re.search(named, message)


def test_instructions_in_the_middle_are_refused_where_there_is_no_turn_for_them() -> None:
    late = Message("system", [Text("now in verse")], "messages[2]")
    assert "messages[2]" in refused(request(*TALK, late, said("user", "Go"), system="s"), "mistral")
    assert "now in verse" in written("llama3", request(*TALK, late, said("user", "Go")))[0]


def test_a_conversation_that_the_assistant_opens() -> None:
    asked = request(said("assistant", "Hello"), said("user", "Hi"))
    assert "begins with a turn of the user" in refused(asked, "gemma")
    assert written("chatml", asked)[0].startswith("<|im_start|>assistant\nHello")


def test_no_turn_at_all_is_refused() -> None:
    assert "there is no turn" in refused(request(system="s"))


def test_thoughts_are_left_out_and_noted() -> None:
    text, notes = written(
        "llama3", request(said("user", "Hi"), Message("assistant", [Reasoning("hm"), Text("Yo")]), said("user", "?"))
    )
    assert "hm" not in text
    assert notes.omitted == ["reasoning"]


def test_the_end_of_a_turn_is_taken_off_an_answer() -> None:
    assert without_end("Hello<|eot_id|>") == "Hello"
    assert without_end("Hello</s>") == "Hello"
    assert without_end("</s> Hello") == "</s> Hello"
    assert is_end("<|im_end|>")
    assert is_end(" <end_of_turn>\n")
    assert not is_end("end")
