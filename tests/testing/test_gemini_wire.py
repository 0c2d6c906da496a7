"""The bytes of the simulated Gemini, and what each fault looks like on its wire."""

from __future__ import annotations

import json

import pytest

from trimaran.testing import Behaviour, SimulatedProvider

HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
CALLS = {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}
KEY = {"x-goog-api-key": "AIzaSimulated"}
TOKEN = {"authorization": "Bearer ya29.simulated"}
SSE = "?alt=sse"


@pytest.fixture
def gemini(ask):
    """``await gemini(provider, "stream", model=, vertex=, query=, **fields)``."""

    async def send(provider, method="", *, model="gemini-2.5-flash", vertex=False, query="", headers=None, **fields):
        prefix = "/v1/projects/p/locations/l/publishers/google" if vertex else "/v1beta"
        name = {"": "generateContent", "stream": "streamGenerateContent", "count": "countTokens"}[method]
        body = json.dumps({**HELLO, **fields}).encode()
        sent = headers if headers is not None else (TOKEN if vertex else KEY)
        return await ask(provider, path=f"{prefix}/models/{model}:{name}{query}", headers=sent, body=body)

    return send


def chunks(raw) -> list[dict]:
    return [json.loads(block.removeprefix("data: ")) for block in raw.body.decode().split("\r\n\r\n")[:-1]]


def said(answers) -> str:
    parts = [part for one in answers for part in one["candidates"][0].get("content", {}).get("parts", ())]
    return "".join(part.get("text", "") for part in parts)


async def test_a_whole_answer(gemini):
    async with SimulatedProvider(Behaviour(text="Hi there.")) as provider:
        raw = await gemini(provider)
        assert raw.json() == {
            "candidates": [
                {"content": {"parts": [{"text": "Hi there."}], "role": "model"}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": {
                "promptTokenCount": 9,
                "candidatesTokenCount": 2,
                "totalTokenCount": 11,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
            },
            "modelVersion": "gemini-2.5-flash",
            "responseId": "simulated00000001",
        }
        assert raw.header("content-type") == "application/json; charset=UTF-8"
        assert raw.header("x-simulated") == "trimaran gemini.generate"
        assert provider.log[-1].dialect == "gemini.generate"


async def test_a_stream_of_events_and_of_an_array(gemini):
    async with SimulatedProvider(Behaviour(text="Hi there.")) as provider:
        events = await gemini(provider, "stream", query=SSE)
        assert events.header("content-type") == "text/event-stream"
        found = chunks(events)
        array = await gemini(provider, "stream")
        assert array.header("content-type") == "application/json; charset=UTF-8"
        assert said(found) == said(array.json()) == "Hi there."
        assert [one["candidates"][0].get("finishReason") for one in found] == [None, None, "STOP"]
        assert [one["usageMetadata"]["totalTokenCount"] for one in found] == [10, 11, 11]


async def test_vertex_counts_at_the_end(gemini):
    async with SimulatedProvider() as provider:
        found = chunks(await gemini(provider, "stream", vertex=True, query=SSE))
        assert found[0]["usageMetadata"] == {"trafficType": "ON_DEMAND"}
        assert found[-1]["usageMetadata"]["candidatesTokensDetails"] == [{"modality": "TEXT", "tokenCount": 24}]
        assert "createTime" in found[-1]


async def test_modalities(gemini):
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    pdf = {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}}
    async with SimulatedProvider() as provider:
        raw = await gemini(provider, contents=[{"parts": [image, pdf, {"text": "x"}]}])
        details = raw.json()["usageMetadata"]["promptTokensDetails"]
        assert details[1:] == [{"modality": "IMAGE", "tokenCount": 85}, {"modality": "DOCUMENT", "tokenCount": 300}]
        counted = await gemini(provider, "count", contents=[{"parts": [image, {"text": "x"}]}])
        assert counted.json()["promptTokensDetails"][1] == {"modality": "IMAGE", "tokenCount": 85}


async def test_calls_are_whole_signed_and_numbered_by_generation(gemini):
    forced = {"tools": [CALLS], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}
    async with SimulatedProvider(Behaviour(tool_calls=2, reasoning_text="A thought.")) as provider:
        for model, signed, numbered in (("gemini-3-flash-preview", [1, 0], True), ("gemini-2.5-flash", [1, 0], False)):
            whole = (await gemini(provider, model=model, **forced)).json()["candidates"][0]["content"]["parts"]
            assert [int("thoughtSignature" in part) for part in whole] == signed
            assert all(("id" in part["functionCall"]) == numbered for part in whole)
            streamed = chunks(await gemini(provider, "stream", model=model, query=SSE, **forced))
            parts = [part for one in streamed for part in one["candidates"][0]["content"]["parts"]]
            assert [part["functionCall"]["name"] for part in parts if "functionCall" in part] == ["f", "f"]
    async with SimulatedProvider() as provider:
        (part,) = (await gemini(provider, **forced)).json()["candidates"][0]["content"]["parts"]
        assert part == {"functionCall": {"name": "f", "args": {}}}


async def test_thoughts_are_shown_when_asked_for(gemini):
    shown = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    async with SimulatedProvider(Behaviour(text="Hi.", reasoning_text="A thought.")) as provider:
        answer = (await gemini(provider, **shown)).json()
        assert answer["candidates"][0]["content"]["parts"] == [{"text": "A thought.", "thought": True}, {"text": "Hi."}]
        assert answer["usageMetadata"]["thoughtsTokenCount"] == 2
        counts = [one["usageMetadata"] for one in chunks(await gemini(provider, "stream", query=SSE, **shown))]
        assert [one.get("candidatesTokenCount", 0) for one in counts] == [0, 0, 1, 1]
        assert {one["thoughtsTokenCount"] for one in counts} == {2}
        answer = (await gemini(provider)).json()
        assert answer["candidates"][0]["content"]["parts"] == [{"text": "Hi."}]
        assert answer["usageMetadata"]["totalTokenCount"] == 9 + 1 + 2
        off = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}
        assert "thoughtsTokenCount" not in (await gemini(provider, **off)).json()["usageMetadata"]


async def test_endings(gemini):
    async with SimulatedProvider(Behaviour(refusal="No.")) as provider:
        (candidate,) = (await gemini(provider)).json()["candidates"]
        assert candidate["finishReason"] == "SAFETY" and candidate["finishMessage"] == "No."
        assert "content" not in candidate and candidate["safetyRatings"][0]["blocked"]
        provider.behaviour = Behaviour(blocked_prompt="SAFETY")
        answer = (await gemini(provider)).json()
        assert answer["promptFeedback"] == {"blockReason": "SAFETY"} and "candidates" not in answer
        assert len(chunks(await gemini(provider, "stream", query=SSE))) == 1
        provider.behaviour = Behaviour(finish_reason="MALFORMED_FUNCTION_CALL")
        assert (await gemini(provider)).json()["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"


async def test_logprobs(gemini):
    async with SimulatedProvider(Behaviour(text="a b")) as provider:
        wanted = {"generationConfig": {"responseLogprobs": True, "logprobs": 2}}
        (candidate,) = (await gemini(provider, **wanted)).json()["candidates"]
        result = candidate["logprobsResult"]
        assert [row["token"] for row in result["chosenCandidates"]] == ["a", " b"]
        assert [len(row["candidates"]) for row in result["topCandidates"]] == [2, 2]


async def test_how_long_to_wait_is_a_detail_and_no_header(gemini):
    async with SimulatedProvider(Behaviour(fault="status", status=429, retry_after_s=0.25)) as provider:
        raw = await gemini(provider)
        error = raw.json()["error"]
        assert (raw.status, error["code"], error["status"]) == (429, 429, "RESOURCE_EXHAUSTED")
        kinds = {row["@type"].rpartition(".")[2]: row for row in error["details"]}
        assert set(kinds) == {"Help", "QuotaFailure", "RetryInfo"}
        assert kinds["RetryInfo"]["retryDelay"] == "0.250s"
        assert raw.header("retry-after") is None
        on_vertex = (await gemini(provider, vertex=True)).json()["error"]
        assert [row["@type"].rpartition(".")[2] for row in on_vertex["details"]] == ["RetryInfo"]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (499, "CANCELLED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
async def test_status_words(gemini, status, word):
    async with SimulatedProvider(Behaviour(fault="status", status=status)) as provider:
        raw = await gemini(provider)
        assert (raw.status, raw.json()["error"]["status"]) == (status, word)
    async with SimulatedProvider(Behaviour(fault="status", status=400, error_code="FAILED_PRECONDITION")) as provider:
        assert (await gemini(provider)).json()["error"]["status"] == "FAILED_PRECONDITION"


async def test_faults_of_a_stream(gemini):
    async with SimulatedProvider(Behaviour(fault="cut")) as provider:
        raw = await gemini(provider, "stream", query=SSE)
        assert raw.end == "cut" and len(chunks(raw)) == 3
        provider.behaviour = Behaviour(fault="cut", cut_inside=True)
        raw = await gemini(provider, "stream", query=SSE)
        assert raw.end == "cut" and not raw.body.endswith(b"\r\n\r\n")
        provider.behaviour = Behaviour(fault="stall")
        assert (await gemini(provider, "stream", query=SSE)).end == "open"
        provider.behaviour = Behaviour(fault="missing_end_marker")
        raw = await gemini(provider, "stream", query=SSE)
        assert raw.end == "complete" and not any("finishReason" in one["candidates"][0] for one in chunks(raw))
        provider.behaviour = Behaviour(fault="open_end")
        raw = await gemini(provider, "stream", query=SSE)
        assert raw.end == "open"
        provider.behaviour = Behaviour(fault="malformed_chunk")
        with pytest.raises(json.JSONDecodeError):
            chunks(await gemini(provider, "stream", query=SSE))
        provider.behaviour = Behaviour(fault="in_band_error", error_code="UNAVAILABLE", error_message="Gone.")
        raw = await gemini(provider, "stream", query=SSE)
        assert chunks(raw)[-1] == {"error": {"code": 500, "message": "Gone.", "status": "UNAVAILABLE"}}
        provider.behaviour = Behaviour(fault="in_band_error", bare_error_event=True)
        raw = await gemini(provider, "stream", query=SSE)
        assert json.loads(raw.body.decode().rpartition("\r\n\r\n")[2])["error"]["status"] == "INTERNAL"


async def test_faults_of_an_array(gemini):
    async with SimulatedProvider(Behaviour(fault="malformed_chunk")) as provider:
        raw = await gemini(provider, "stream")
        assert b"data:" not in raw.body
        with pytest.raises(json.JSONDecodeError):
            raw.json()
        for after_tokens in (0, 2):
            provider.behaviour = Behaviour(fault="in_band_error", after_tokens=after_tokens)
            answers = (await gemini(provider, "stream")).json()
            assert len(answers) == after_tokens + 1 and answers[-1]["error"]["status"] == "INTERNAL"
        provider.behaviour = Behaviour(fault="missing_end_marker")
        assert not (await gemini(provider, "stream")).body.endswith(b"]")


async def test_faults_of_a_whole_answer(gemini):
    async with SimulatedProvider(Behaviour(fault="in_band_error")) as provider:
        raw = await gemini(provider)
        assert raw.status == 200 and raw.json()["error"]["status"] == "INTERNAL"
        provider.behaviour = Behaviour(fault="cut")
        assert (await gemini(provider)).end == "cut"


async def test_unknown_models(gemini):
    async with SimulatedProvider(models=["gemini-2.5-flash"]) as provider:
        assert (await gemini(provider)).status == 200
        error = (await gemini(provider, model="gemini-9")).json()["error"]
        assert error["status"] == "NOT_FOUND" and error["message"].startswith("models/gemini-9 is not found for API")
        error = (await gemini(provider, model="gemini-9", vertex=True)).json()["error"]
        assert (
            "Publisher Model `projects/p/locations/l/publishers/google/models/gemini-9` was not found"
            in error["message"]
        )
        provider.google.cloud.model_locations["gemini-2.5-flash"] = ("us-central1",)
        assert (await gemini(provider, vertex=True)).status == 404


async def test_lists(ask):
    async with SimulatedProvider(models=["gemini-2.5-flash", "gemini-2.5-pro"]) as provider:
        for path in ("/v1beta/models", "/v1/models", "/v1/models?key=k"):
            raw = await ask(provider, path=path, method="GET", headers={} if "key" in path else KEY, body=b"")
            assert [row["name"] for row in raw.json()["models"]] == ["models/gemini-2.5-flash", "models/gemini-2.5-pro"]
        raw = await ask(provider, path="/v1beta/models?pageSize=1", method="GET", headers=KEY, body=b"")
        assert raw.json()["nextPageToken"] == "1"
        one = await ask(provider, path="/v1beta/models/gemini-2.5-pro", method="GET", headers=KEY, body=b"")
        assert one.json()["inputTokenLimit"] == 1_048_576
        gone = await ask(provider, path="/v1beta/models/gemini-9", method="GET", headers=KEY, body=b"")
        assert gone.status == 404
        other = await ask(provider, path="/v1/models", method="GET", body=b"")
        assert "data" in other.json()
