"""What Azure adds to an answer can be taken away again, and what is left is OpenAI's answer, for every text."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from trimaran.testing.azure_filters import AnnotatedChat, AnnotatedResponse
from trimaran.testing.exchange import Part, Prompt, Reply, Usage
from trimaran.testing.openai_chat_writer import ChatWriter
from trimaran.testing.openai_responses_writer import ResponsesWriter

PIECES = st.lists(st.text(min_size=1), min_size=1, max_size=5)
SAFE = {"filtered": None, "severity": "safe"}


def reply(pieces):
    return Reply([Part("text", list(pieces))], "stop", Usage(1, len(pieces)))


def streamed(writer, pieces):
    events = writer.opening() + b"".join(writer.piece(piece) for piece in pieces) + writer.closing(end_marker=True)
    blocks = [block.partition(b"data: ")[2] for block in events.split(b"\n\n")[:-1]]
    return [json.loads(block) for block in blocks if block != b"[DONE]"], blocks[-1]


def bare(value):
    """Without verdicts."""
    if isinstance(value, dict):
        names = ("content_filter_results", "prompt_filter_results", "content_filters", "content_filter_offsets")
        return {key: bare(item) for key, item in value.items() if key not in names and key != "created"}
    return [bare(item) for item in value] if isinstance(value, list) else value


@given(PIECES, st.booleans(), st.booleans())
@example(["data: ", "\n\ndata: [DONE]\n\n"], False, True)
def test_chat(pieces, asynchronous, usage):
    prompt = Prompt("m", stream=True, include_usage=usage)
    options = {**SAFE, "asynchronous": asynchronous}
    plain, end = streamed(ChatWriter(prompt, reply(pieces), 1), pieces)
    seen, seen_end = streamed(AnnotatedChat(ChatWriter(prompt, reply(pieces), 1), bytes, **options), pieces)
    assert end == seen_end == b"[DONE]"
    assert "prompt_filter_results" in seen[0]
    added = [chunk for chunk in seen if not chunk["id"]]
    assert len(added) == 1 + asynchronous
    assert bare([chunk for chunk in seen if chunk["id"]]) == bare(plain)
    if asynchronous:
        assert added[-1]["choices"][0]["content_filter_offsets"]["end_offset"] == sum(map(len, pieces))
    whole = AnnotatedChat(ChatWriter(prompt, reply(pieces), 1), bytes, **options).unary()
    assert bare(json.loads(whole)) == bare(json.loads(ChatWriter(prompt, reply(pieces), 1).unary()))


@given(PIECES)
@example(["data: ", "\n\nevent: data: x\n\n"])
def test_responses(pieces):
    def writer():
        return ResponsesWriter(Prompt("m", stream=True), reply(pieces), 1, {}, encrypted=False, keep=None)

    def untimed(value):
        if isinstance(value, dict):
            return {key: untimed(item) for key, item in value.items() if not key.endswith("_at")}
        return [untimed(item) for item in value] if isinstance(value, list) else value

    plain, _ = streamed(writer(), pieces)
    seen, _ = streamed(AnnotatedResponse(writer(), bytes, **SAFE), pieces)
    assert untimed(bare(seen)) == untimed(bare(plain))
    assert seen[0]["response"]["content_filters"] is None
    assert [row["source_type"] for row in seen[-1]["response"]["content_filters"]] == ["prompt", "completion"]
