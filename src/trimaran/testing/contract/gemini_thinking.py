"""The part of ``gemini.generate``'s contract about thoughts and their signatures; the suite with it is passed on from here."""

from __future__ import annotations

from typing import Any

from trimaran.testing.contract.gemini_session import (
    GEMINI_GENERATE,
    ONE_TOOL,
    TOOLS,
    GeminiSession,
    content,
    results,
    streamed,
    unary,
)
from trimaran.testing.contract.material import RESULTS
from trimaran.testing.contract.suite import expect

__all__ = ["GEMINI_GENERATE"]

_THOUGHTS: dict[str, Any] = {"thinking_config": {"include_thoughts": True, "thinking_budget": 2_000}}


@GEMINI_GENERATE.check(simulated=True, across=("text", "finish", "reasoning"), needs=["reasoning"])
def reasoning(session: GeminiSession) -> Any:
    """Thoughts come first, as parts of their own."""
    gist, whole = unary(session.create("Think.", model=session.named("sim-reasoning"), **_THOUGHTS))
    expect(gist.get("reasoning") == "First I think, then I answer.", "the thoughts", gist)
    return gist, whole


@GEMINI_GENERATE.check(simulated=True, across=("text", "finish", "reasoning"), needs=["reasoning"])
def stream_reasoning(session: GeminiSession) -> Any:
    """The same streamed."""
    gist, whole = streamed(session.stream("Think.", model=session.named("sim-reasoning"), **_THOUGHTS))
    expect(gist.get("reasoning") == "First I think, then I answer.", "the thoughts", gist)
    return gist, whole


@GEMINI_GENERATE.check(simulated=True, needs=["reasoning"])
def hidden_reasoning(session: GeminiSession) -> Any:
    """Thoughts that were not asked for are counted and not shown."""
    gist, whole = unary(session.create("Think.", model=session.named("sim-reasoning")))
    expect("reasoning" not in gist and whole.usage_metadata.thoughts_token_count, "counted, not shown", whole)
    return gist, whole


@GEMINI_GENERATE.check(simulated=True, across=("text", "finish"), needs=["reasoning", "tools"], lost_in=["openai.chat"])
def reasoning_sent_back(session: GeminiSession) -> Any:
    """A signed call goes back as it came before its result, and the provider knows its thoughts."""
    fields = {"model": session.named("sim-reasoning-tools"), "tools": ONE_TOOL, **_THOUGHTS}
    gist, whole = _sent_back(session, fields)
    expect("1 reasoning block" in gist["text"], "the provider saw its thoughts", gist)
    return gist, whole


@GEMINI_GENERATE.check(simulated=True, needs=["reasoning", "tools"])
def signatures(session: GeminiSession) -> Any:
    """From generation 3 on the first of several calls is signed, and the signature goes back with it."""
    fields = {"model": session.named("sim-gemini-3-tools"), "tools": TOOLS}
    gist, whole = _sent_back(session, fields)
    signed = [bool(part.thought_signature) for part in whole[0].candidates[0].content.parts if part.function_call]
    expect(signed == [True, False], "the first call is signed", whole[0])
    return gist, whole


@GEMINI_GENERATE.check(simulated=True, needs=["reasoning", "tools"])
def stream_signatures(session: GeminiSession) -> Any:
    """The same streamed: the chunks' parts are sent back as they came."""
    fields: dict[str, Any] = {"model": session.named("sim-gemini-3-tools"), "tools": TOOLS}
    question = content("user", "Weather and plans for Paris?")
    chunks = session.stream([question], **fields)
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    kept = [part.model_dump(exclude_none=True) for part in parts if part.function_call or part.text]
    calls = [part.function_call for part in parts if part.function_call]
    rows = [{"name": call.name, "response": {"result": RESULTS[at]}} for at, call in enumerate(calls)]
    answers = content("user", *({"function_response": row} for row in rows))
    gist, second = unary(session.create([question, content("model", *kept), answers], **fields))
    expect("1 reasoning block" in gist["text"], "the provider saw its thoughts", gist)
    return gist, [chunks, second]


@GEMINI_GENERATE.check(simulated=True, needs=["reasoning"])
def signed_text(session: GeminiSession) -> Any:
    """A text of generation 3 may be signed at its end; it goes back with the conversation."""
    model = session.named("sim-gemini-3")
    chunks = session.stream("Think.", model=model)
    last = chunks[-1].candidates[0].content.parts[-1]
    expect(last.thought_signature, "a signature at the end", chunks)
    gist, _ = streamed(chunks)
    said = {"text": gist["text"], "thought_signature": last.thought_signature}
    contents = [content("user", "Think."), content("model", said), content("user", "Again.")]
    then, second = unary(session.create(contents, model=model))
    expect("1 reasoning block" in then["text"], "the provider saw its thoughts", then)
    return gist, [chunks, second]


def _sent_back(session: GeminiSession, fields: dict[str, Any]) -> tuple[Any, Any]:
    question = content("user", "Weather and plans for Paris?")
    first = session.create([question], **fields)
    answers = content("user", *results(first))
    gist, second = unary(session.create([question, first.candidates[0].content, answers], **fields))
    expect("1 reasoning block" in gist["text"], "the provider saw its thoughts", gist)
    return gist, [first, second]


@GEMINI_GENERATE.check(simulated=True, needs=["reasoning", "tools"])
def missing_signature(session: GeminiSession) -> Any:
    """A call of the current turn without its signature is a 400, from generation 3 on."""
    return session.error(contents=_called(), model=session.named("sim-gemini-3"), tools=ONE_TOOL)


@GEMINI_GENERATE.check(simulated=True, needs=["reasoning", "tools"])
def foreign_signature(session: GeminiSession) -> Any:
    """A signature that is not the provider's is a 400."""
    contents = _called(thought_signature=b"foreign")
    return session.error(contents=contents, model=session.named("sim-gemini-3"), tools=ONE_TOOL)


@GEMINI_GENERATE.check(simulated=True, needs=["reasoning", "tools"])
def skipped_signature(session: GeminiSession) -> Any:
    """The documented value for a call that no model made is taken."""
    contents = _called(thought_signature=b"skip_thought_signature_validator")
    return unary(session.create(contents, model=session.named("sim-gemini-3"), tools=ONE_TOOL))


@GEMINI_GENERATE.check(simulated=True, needs=["reasoning", "tools"])
def earlier_turns_need_no_signature(session: GeminiSession) -> Any:
    """Only the current turn's calls must be signed."""
    contents = [*_called(), content("model", "Sunny."), content("user", "And tomorrow?")]
    return unary(session.create(contents, model=session.named("sim-gemini-3"), tools=ONE_TOOL))


def _called(**members: Any) -> list[Any]:
    call = {"function_call": {"name": "get_weather", "args": {"city": "Paris", "days": 1}}, **members}
    response = {"function_response": {"name": "get_weather", "response": {"result": RESULTS[0]}}}
    return [content("user", "Weather in Paris?"), content("model", call), content("user", response)]
