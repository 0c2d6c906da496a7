"""The contract of ``sagemaker-runtime``, checked with boto3: what a caller of InvokeEndpoint may rely on.

One flat list of short promises, in the order: OpenAI-shaped containers, texts, tensors, who answers, states, errors. All need
the endpoints and behaviours of :mod:`~trimaran.testing.contract.sagemaker_session`. A gateway that offers the same paths can
be held to it too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.failures import add_failures
from trimaran.testing.contract.material import WEATHER_SCHEMA
from trimaran.testing.contract.sagemaker_session import (
    SAGEMAKER_RUNTIME,
    SageMakerSession,
    chat,
    chat_gist,
    lines,
    server_events,
    streamed_chat_gist,
    streamed_text_gist,
)
from trimaran.testing.contract.suite import expect

__all__ = ["SAGEMAKER_RUNTIME", "SageMakerSession", "check_sagemaker"]

_WEATHER = {"name": "get_weather", "description": "The weather in a city.", "parameters": WEATHER_SCHEMA}
_TOOLS = {"tools": [{"type": "function", "function": _WEATHER}], "tool_choice": "required"}
_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
_LLAMA = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nMy name is Ada.<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello Ada.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nWhat is my name?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
_check = SAGEMAKER_RUNTIME.check(simulated=True)


def check_sagemaker(
    base_url: str, key: str, *, secret: str = "simulated", rename: Callable[[str], str] = str
) -> dict[str, dict[str, Any]]:
    """Run the whole suite; results by check. Raises :class:`~trimaran.testing.contract.ContractError`."""
    with SageMakerSession(base_url, key, secret=secret, rename=rename) as session:
        return SAGEMAKER_RUNTIME.run(session)


@_check
def text(session: SageMakerSession) -> Any:
    """A vLLM container answers a chat, without a ``model`` in the request."""
    answer = session.invoke(chat("Say hello."))
    expect(answer["InvokedProductionVariant"] == "AllTraffic", "the variant is named", answer)
    return chat_gist(answer["Body"]), answer


@_check
def named_model(session: SageMakerSession) -> Any:
    """``model`` reaches the container, which may insist on its own."""
    endpoint = session.named("sim-served")
    answer = session.invoke(chat("Say hello.", model="llama"), EndpointName=endpoint)
    expect(answer["Body"]["model"] == "llama", "the model is named", answer)
    refused, _ = session.error(EndpointName=endpoint, body=chat("Say hello.", model="other"))
    expect(refused["original_status"] == 404, "another model is unknown", refused)
    return chat_gist(answer["Body"]), answer


@_check
def stream_text(session: SageMakerSession) -> Any:
    """Parts hold the container's server-sent events."""
    seen = session.stream(chat("Say hello.", **_USAGE))
    expect(seen.content_type.startswith("text/event-stream"), "the container's content type", seen.content_type)
    chunks = server_events(seen.body, "[DONE]")
    gist = streamed_chat_gist(chunks)
    expect(gist["input_tokens"] > 0, "usage was asked for", gist)
    return gist, [seen.variant, chunks]


@_check
def stream_cut(session: SageMakerSession) -> Any:
    """Parts need not end where the container's events end; put together they are the same."""
    seen = session.stream(chat("Grüße, 世界 🚢", **_USAGE), EndpointName=session.named("sim-vllm-cut"))
    chunks = server_events(seen.body, "[DONE]")
    return streamed_chat_gist(chunks), [seen.variant, chunks]


@_check
def unstreamed_stream(session: SageMakerSession) -> Any:
    """What streams is the container's decision: a whole answer comes in parts as well."""
    seen = session.stream(chat("Say hello."))
    expect(seen.content_type == "application/json", "the container did not stream", seen.content_type)
    body = json.loads(seen.body)
    return chat_gist(body), body


@_check
def stream_at_once(session: SageMakerSession) -> Any:
    """InvokeEndpoint of a container that streams gives its whole stream."""
    answer = session.invoke(chat("Say hello.", stream=True))
    chunks = server_events(answer.pop("Body"), "[DONE]")
    return streamed_chat_gist(chunks), [answer, chunks]


@_check
def tool_call(session: SageMakerSession) -> Any:
    """Tools go through."""
    answer = session.invoke(chat("Weather in Paris?", **_TOOLS))
    gist = chat_gist(answer["Body"])
    expect(gist["tool_calls"][0]["name"] == "get_weather", "the tool is called", gist)
    return gist, answer


@_check
def stream_tool_call(session: SageMakerSession) -> Any:
    """And in a stream."""
    chunks = server_events(session.stream(chat("Weather in Paris?", stream=True, **_TOOLS)).body, "[DONE]")
    gist = streamed_chat_gist(chunks)
    expect(gist["tool_calls"][0]["name"] == "get_weather", "the tool is called", gist)
    return gist, chunks


@_check
def neuron(session: SageMakerSession) -> Any:
    """A Neuron build answers like any other."""
    answer = session.invoke(chat("Say hello."), EndpointName=session.named("sim-neuron"))
    return chat_gist(answer["Body"]), answer


@_check
def lmi_chat(session: SageMakerSession) -> Any:
    """LMI takes a chat where the body has ``messages``."""
    answer = session.invoke(chat("Say hello."), EndpointName=session.named("sim-lmi"))
    return chat_gist(answer["Body"]), answer


@_check
def lmi_chat_stream(session: SageMakerSession) -> Any:
    """And streams it as JSON lines."""
    seen = session.stream(chat("Say hello.", **_USAGE), EndpointName=session.named("sim-lmi-cut"))
    expect(seen.content_type == "application/jsonlines", "JSON lines", seen.content_type)
    rows = lines(seen.body)
    return streamed_chat_gist(rows), rows


@_check
def lmi_chat_events(session: SageMakerSession) -> Any:
    """Unless it was told to stream server-sent events."""
    seen = session.stream(chat("Say hello.", **_USAGE), EndpointName=session.named("sim-lmi-sse"))
    rows = server_events(seen.body, "[DONE]")
    return streamed_chat_gist(rows), rows


@_check
def lmi_text(session: SageMakerSession) -> Any:
    """LMI completes ``inputs``; the answer is an object."""
    body = {"inputs": "Say hello.", "parameters": {"max_new_tokens": 16, "details": True}}
    answer = session.invoke(body, EndpointName=session.named("sim-lmi"))
    gist = {"text": answer["Body"]["generated_text"], "finish": answer["Body"]["details"]["finish_reason"]}
    expect(gist["finish"] == "length", "stopped by the limit", gist)
    return gist, answer


@_check
def lmi_text_stream(session: SageMakerSession) -> Any:
    """And streams tokens, a line each."""
    body = {"inputs": "Say hello.", "parameters": {"details": True}, "stream": True}
    rows = lines(session.stream(body, EndpointName=session.named("sim-lmi-cut")).body)
    return streamed_text_gist(rows), rows


@_check
def lmi_unreadable(session: SageMakerSession) -> Any:
    """LMI answers 424 to what it cannot parse."""
    seen, whole = session.error(EndpointName=session.named("sim-lmi"), body={"question": "?"})
    expect(seen["original_status"] == 424, "the container's status", seen)
    return seen, whole


@_check
def tgi_text(session: SageMakerSession) -> Any:
    """TGI completes ``inputs``; the answer is a list with one member."""
    body = {"inputs": "Say hello.", "parameters": {"max_new_tokens": 16, "stop": [" message"], "details": True}}
    answer = session.invoke(body, EndpointName=session.named("sim-tgi"))
    (row,) = answer["Body"]
    gist = {"text": row["generated_text"], "finish": row["details"]["finish_reason"]}
    expect(gist["finish"] == "stop_sequence", "stopped by the sequence", gist)
    return gist, answer


@_check
def tgi_text_stream(session: SageMakerSession) -> Any:
    """And streams tokens as server-sent events, without an end marker."""
    body = {"inputs": "Grüße, 世界", "parameters": {"details": True}, "stream": True}
    seen = session.stream(body, EndpointName=session.named("sim-tgi-cut"))
    expect(seen.content_type == "text/event-stream", "server-sent events", seen.content_type)
    rows = server_events(seen.body, None)
    return streamed_text_gist(rows), rows


@_check
def tgi_chat(session: SageMakerSession) -> Any:
    """TGI takes a chat, too."""
    endpoint = session.named("sim-tgi")
    answer = session.invoke(chat("Say hello."), EndpointName=endpoint)
    chunks = server_events(session.stream(chat("Say hello.", stream=True), EndpointName=endpoint).body, "[DONE]")
    gist = chat_gist(answer["Body"])
    expect(streamed_chat_gist(chunks)["text"] == gist["text"], "the same text, streamed", chunks)
    return gist, [answer, chunks]


@_check
def tgi_unreadable(session: SageMakerSession) -> Any:
    """TGI answers 422 to what it cannot parse."""
    seen, whole = session.error(EndpointName=session.named("sim-tgi"), body={"question": "?"})
    expect(seen["original_status"] == 422, "the container's status", seen)
    return seen, whole


@_check
def jumpstart_prompt(session: SageMakerSession) -> Any:
    """A JumpStart model takes a prompt with its family's marks of turns."""
    body = {"inputs": _LLAMA, "parameters": {"max_new_tokens": 64}}
    (row,) = session.invoke(body, EndpointName=session.named("sim-jumpstart"))["Body"]
    expect("3 messages, system prompt" in row["generated_text"], "every turn arrived", row)
    return {"text": row["generated_text"]}, row


@_check
def jumpstart_eula(session: SageMakerSession) -> Any:
    """Some want to hear that their terms were accepted."""
    endpoint = session.named("sim-jumpstart-eula")
    seen, whole = session.error(EndpointName=endpoint, body={"inputs": "Hi"})
    expect("accept_eula=true" in whole["OriginalMessage"], "the terms are named", whole)
    answer = session.invoke({"inputs": "Hi"}, EndpointName=endpoint, CustomAttributes="accept_eula=true")
    return seen, [whole, answer]


@_check
def triton_text(session: SageMakerSession) -> Any:
    """Triton takes texts as BYTES."""
    tensor = {"name": "text_input", "shape": [1, 1], "datatype": "BYTES", "data": [["Say hello."]]}
    answer = session.invoke({"id": "one", "inputs": [tensor]}, EndpointName=session.named("sim-triton"))
    (output,) = answer["Body"]["outputs"]
    expect(output["datatype"] == "BYTES" and answer["Body"]["id"] == "one", "a text and the request's id", answer)
    return {"text": output["data"][0]}, answer


@_check
def triton_numbers(session: SageMakerSession) -> Any:
    """And numbers of any shape."""
    tensor = {"name": "INPUT0", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4.5]}
    answer = session.invoke({"inputs": [tensor]}, EndpointName=session.named("sim-triton"))
    expect(answer["Body"]["outputs"][0]["data"] == [10.5], "their sum", answer)
    short = {"inputs": [tensor | {"shape": [3, 2]}]}
    refused, _ = session.error(EndpointName=session.named("sim-triton"), body=short)
    expect(refused["original_status"] == 400, "a shape that does not fit is refused", refused)
    return answer["Body"]["outputs"], answer


@_check
def tensor_json(session: SageMakerSession) -> Any:
    """Instances become predictions."""
    answer = session.invoke({"instances": [[1, 2], [3, 4]]}, EndpointName=session.named("sim-tensor"))
    expect(answer["Body"] == {"predictions": [3.0, 7.0]}, "a prediction each", answer)
    return answer["Body"], answer


@_check
def tensor_csv(session: SageMakerSession) -> Any:
    """Other content types go through both ways."""
    answer = session.invoke(b"1,2\n3,4\n", EndpointName=session.named("sim-tensor"), ContentType="text/csv")
    expect((answer["ContentType"], answer["Body"]) == ("text/csv", b"3\n7\n"), "rows of CSV", answer)
    return {"text": answer["Body"].decode()}, answer["ContentType"]


@_check
def tensor_bytes(session: SageMakerSession) -> Any:
    """So do any bytes, streamed or not."""
    body = bytes(range(256))
    fields = {"EndpointName": session.named("sim-tensor"), "ContentType": "application/octet-stream"}
    answer, seen = session.invoke(body, **fields), session.stream(body, **fields)
    expect(answer["Body"] == seen.body and len(seen.body) == 32, "the same bytes both ways", seen.body)
    return answer["Body"].hex(), answer["ContentType"]


@_check
def component(session: SageMakerSession) -> Any:
    """An inference component of the endpoint answers, with its own container."""
    endpoint = session.named("sim-hosting")
    answer = session.invoke(chat("Say hello."), EndpointName=endpoint, InferenceComponentName="sim-awake")
    other = session.invoke({"inputs": "Hi"}, EndpointName=endpoint, InferenceComponentName="sim-text")
    expect("generated_text" in other["Body"][0], "each has its container", other)
    return chat_gist(answer["Body"]), [answer, other]


@_check
def component_missing(session: SageMakerSession) -> Any:
    """Where components are hosted, one must be named."""
    return session.error(EndpointName=session.named("sim-hosting"))


@_check
def component_needless(session: SageMakerSession) -> Any:
    """Where none are, none may be."""
    return session.error(InferenceComponentName="sim-awake")


@_check
def component_unknown(session: SageMakerSession) -> Any:
    """It must exist."""
    return session.error(EndpointName=session.named("sim-hosting"), InferenceComponentName="sim-nobody")


@_check
def component_asleep(session: SageMakerSession) -> Any:
    """One without copies cannot answer: a ``ValidationError``, although the request was right."""
    seen, whole = session.error(EndpointName=session.named("sim-hosting"), InferenceComponentName="sim-asleep")
    expect("no capacity" in whole["Message"] and seen["code"] == "ValidationError", "no capacity", whole)
    return seen, whole


@_check
def component_starting(session: SageMakerSession) -> Any:
    """Neither can one that is being created."""
    return session.error(EndpointName=session.named("sim-hosting"), InferenceComponentName="sim-starting", stream=True)


@_check
def variant(session: SageMakerSession) -> Any:
    """A variant can be named, also one without traffic of its own."""
    endpoint = session.named("sim-variants")
    usual = session.invoke(chat("Say hello."), EndpointName=endpoint)
    asked = session.invoke(chat("Say hello."), EndpointName=endpoint, TargetVariant="green")
    seen = [usual["InvokedProductionVariant"], asked["InvokedProductionVariant"]]
    expect(seen == ["blue", "green"], "who answered", seen)
    refused, _ = session.error(EndpointName=endpoint, TargetVariant="red")
    return {"variants": seen, "unknown": refused["code"]}, [usual, asked]


@_check
def target_model(session: SageMakerSession) -> Any:
    """A multi-model endpoint answers for the model that is named, once it is loaded."""
    endpoint = session.named("sim-many")
    answer = session.invoke(chat("Say hello."), EndpointName=endpoint, TargetModel="warm.tar.gz")
    cold, _ = session.error(EndpointName=endpoint, TargetModel="cold.tar.gz")
    expect((cold["code"], cold["status"]) == ("ModelNotReadyException", 429), "still being loaded", cold)
    needless, whole = session.error(TargetModel="warm.tar.gz")
    return {"cold": cold, "needless": needless, **chat_gist(answer["Body"])}, whole


@_check
def attributes(session: SageMakerSession) -> Any:
    """Custom attributes come back, and a session can be opened."""
    answer = session.invoke(chat("Say hello."), CustomAttributes="trace=1", SessionId="NEW_SESSION", InferenceId="one")
    expect(answer["CustomAttributes"] == "trace=1", "the attributes", answer)
    expect("; Expires=" in answer["NewSessionId"], "the session", answer)
    return chat_gist(answer["Body"]), answer


@_check
def updating(session: SageMakerSession) -> Any:
    """An endpoint that is being updated answers."""
    answers = [
        session.invoke(chat("Say hello."), EndpointName=session.named(name))
        for name in ("sim-updating", "sim-system-updating")
    ]
    return [chat_gist(answer["Body"]) for answer in answers], answers


@_check
def closed(session: SageMakerSession) -> Any:
    """One that is being created or deleted, or has failed, does not."""
    seen = [session.error(model=session.named(name)) for name in ("sim-creating", "sim-deleting", "sim-failed")]
    expect({gist["code"] for gist, _ in seen} == {"ValidationError"}, "a ValidationError", seen)
    return [gist for gist, _ in seen], None


@_check
def out_of_service(session: SageMakerSession) -> Any:
    """One without anything that could answer is unavailable."""
    seen = [session.error(model=session.named(name))[0] for name in ("sim-out-of-service", "sim-empty")]
    expect({gist["code"] for gist in seen} == {"ServiceUnavailable"}, "unavailable", seen)
    serverless, _ = session.error(model=session.named("sim-serverless"))
    expect(serverless["code"] == "ModelNotReadyException", "serverless, still being provisioned", serverless)
    return [*seen, serverless], None


@_check
def unknown_endpoint(session: SageMakerSession) -> Any:
    """An unknown endpoint is a ``ValidationError``, not a 404."""
    seen, whole = session.error(model=session.named("missing-model"))
    expect((seen["class"], seen["status"]) == ("ValidationError", 400), "a ValidationError", seen)
    expect("not found" in whole["Message"], "that says so", whole)
    return seen, whole


@_check
def wrong_key(session: SageMakerSession) -> Any:
    """A key that is not known is refused."""
    with session.with_key("AKIAWRONG") as client:
        return session.error(client)


@_check
def container_error(session: SageMakerSession) -> Any:
    """The container's error keeps its status and its words."""
    seen, whole = session.error(body=chat("Hi", temperature=9))
    expect((seen["class"], seen["status"], seen["original_status"]) == ("ModelError", 424, 400), "a ModelError", seen)
    expect("temperature" in whole["OriginalMessage"] and whole["LogStreamArn"], "its words", whole)
    return seen, whole["OriginalMessage"]


@_check
def container_context(session: SageMakerSession) -> Any:
    """So does a prompt that is too long."""
    seen, whole = session.error(model=session.named("sim-small-context"), body=chat("Hello " * 100), stream=True)
    expect(seen["original_status"] == 400 and "context length" in whole["OriginalMessage"], "too long", whole)
    return seen, whole["OriginalMessage"]


@_check
def container_busy(session: SageMakerSession) -> Any:
    """A container that is overloaded is told from a service that is."""
    busy, whole = session.error(model=session.named("sim-container-busy"))
    limited, _ = session.error(model=session.named("sim-container-limited"))
    expect([busy["original_status"], limited["original_status"]] == [503, 429], "the container's status", busy)
    return [busy, limited], whole["OriginalMessage"]


@_check
def service_errors(session: SageMakerSession) -> Any:
    """The service's own."""
    names = ("sim-throttled", "sim-not-ready", "sim-dependency")
    seen = [session.error(model=session.named(name))[0] for name in names]
    codes = ["ThrottlingException", "ModelNotReadyException", "InternalDependencyException"]
    expect([gist["code"] for gist in seen] == codes, "as the model names them", seen)
    return seen, None


@_check
def stream_errors(session: SageMakerSession) -> Any:
    """An error inside a stream is an exception of the stream."""
    names = ("sim-stream-timeout", "sim-stream-broken", "sim-stream-failure")
    seen = [session.error(model=session.named(name), body=chat("Hi", stream=True), stream=True) for name in names]
    expect({gist["class"] for gist, _ in seen} == {"EventStreamError"}, "exceptions", seen)
    codes = [gist["code"] for gist, _ in seen]
    expect(codes == ["ModelStreamError", "ModelStreamError", "InternalStreamFailure"], "as the model names them", codes)
    return codes, [whole for _, whole in seen]


@_check
def stream_container_error(session: SageMakerSession) -> Any:
    """The container's own error inside its stream is an ordinary part to the service."""
    seen = session.stream(chat("Hi", stream=True), EndpointName=session.named("sim-stream-container"))
    last = server_events(seen.body, None)[-1]
    expect("error" in last, "the container's error", last)
    return last, None


@_check
def disconnect(session: SageMakerSession) -> Any:
    """A client may leave in the middle of a stream."""
    size = session.leave(chat("Hi", stream=True), EndpointName=session.named("sim-endless"))
    expect(size > 0, "a first part", size)
    return "left", None


add_failures(SAGEMAKER_RUNTIME, lambda session, client=None, **fields: session.error(client, **fields))
