"""boto3's client for ``sagemaker-runtime``, the endpoints that the suite invokes, and what their answers say."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.contract.material import call_gist
from trimaran.testing.contract.suite import Session, Suite, expect
from trimaran.testing.sagemaker import Container, Endpoint, InferenceComponent, Variant

__all__ = [
    "SAGEMAKER_RUNTIME",
    "SIMULATED_ENDPOINTS",
    "SIMULATED_ENDPOINT_BEHAVIOURS",
    "SageMakerSession",
    "Streamed",
    "chat",
    "chat_gist",
    "lines",
    "server_events",
    "streamed_chat_gist",
    "streamed_text_gist",
]

_HOSTING = (
    InferenceComponent(inference_component_name="sim-awake"),
    InferenceComponent(inference_component_name="sim-asleep", current_copy_count=0),
    InferenceComponent(inference_component_name="sim-starting", status="Creating"),
    InferenceComponent(inference_component_name="sim-text", container=Container(kind="tgi")),
)
SIMULATED_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(name="sim-vllm"),
    Endpoint(name="sim-vllm-cut", container=Container(part_bytes=9)),
    Endpoint(name="sim-served", container=Container(served_model="llama")),
    Endpoint(
        name="sim-neuron", container=Container(kind="neuron"), variants=(Variant(instance_type="ml.inf2.8xlarge"),)
    ),
    Endpoint(name="sim-lmi", container=Container(kind="lmi")),
    Endpoint(name="sim-lmi-cut", container=Container(kind="lmi", part_bytes=9)),
    Endpoint(name="sim-lmi-sse", container=Container(kind="lmi", environment={"OPTION_OUTPUT_FORMATTER": "sse"})),
    Endpoint(name="sim-tgi", container=Container(kind="tgi")),
    Endpoint(name="sim-tgi-cut", container=Container(kind="tgi", part_bytes=9)),
    Endpoint(name="sim-jumpstart", container=Container(kind="jumpstart")),
    Endpoint(name="sim-jumpstart-eula", container=Container(kind="jumpstart", requires_eula=True)),
    Endpoint(name="sim-triton", container=Container(kind="triton")),
    Endpoint(name="sim-tensor", container=Container(kind="tensor")),
    Endpoint(name="sim-hosting", inference_components=_HOSTING),
    Endpoint(name="sim-variants", variants=(Variant(variant_name="blue"), Variant(variant_name="green", weight=0.0))),
    Endpoint(name="sim-many", multi_model=True, unloaded_models=("cold.tar.gz",)),
    Endpoint(name="sim-creating", status="Creating"),
    Endpoint(name="sim-updating", status="Updating"),
    Endpoint(name="sim-system-updating", status="SystemUpdating"),
    Endpoint(name="sim-deleting", status="Deleting"),
    Endpoint(
        name="sim-failed", status="Failed", failure_reason="The primary container did not pass the ping health check."
    ),
    Endpoint(name="sim-out-of-service", status="OutOfService"),
    Endpoint(name="sim-empty", variants=(Variant(current_instance_count=0),)),
    Endpoint(name="sim-serverless", variants=(Variant(serverless=True, current_instance_count=0),)),
)
"""What the checks invoke beside :data:`~trimaran.testing.contract.SIMULATED_MODELS`, whose names are endpoints too. Pass them
to a simulated SageMaker with a ``template``."""

SIMULATED_ENDPOINT_BEHAVIOURS: dict[str, Behaviour] = {
    "sim-throttled": Behaviour(fault="status", status=400, error_code="ThrottlingException"),
    "sim-not-ready": Behaviour(fault="status", status=429, error_code="ModelNotReadyException"),
    "sim-dependency": Behaviour(fault="status", status=530),
    "sim-container-busy": Behaviour(fault="status", status=424, error_code="503", error_message="busy"),
    "sim-container-limited": Behaviour(fault="status", status=424, error_code="429", error_message="slow down"),
    "sim-stream-timeout": Behaviour(fault="in_band_error", error_code="ModelInvocationTimeExceeded"),
    "sim-stream-broken": Behaviour(fault="in_band_error", error_code="StreamBroken"),
    "sim-stream-failure": Behaviour(fault="in_band_error", error_code="InternalStreamFailure"),
    "sim-stream-container": Behaviour(fault="in_band_error", bare_error_event=True),
}
"""Endpoints with behaviours. Pass them as ``behaviours=`` to a simulated provider, beside the models'."""


class Streamed:
    """What a stream said: its bytes, its parts, and the members of the answer that came before it."""

    def __init__(self, answer: dict[str, Any], parts: list[bytes]) -> None:
        self.content_type = answer["ContentType"]
        self.variant = answer["InvokedProductionVariant"]
        self.parts = parts
        self.body = b"".join(parts)


class SageMakerSession(Session):
    """Invocations with boto3. ``key`` is an access key id, ``secret`` its secret; boto3's own retries are off."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        secret: str = "simulated",
        region: str = "us-east-1",
        model: str = "sim-vllm",
        rename: Callable[[str], str] = str,
    ) -> None:
        options = {"base_url": base_url, "api_key": key, "secret": secret, "region": region, "timeout": 20.0}
        super().__init__(_client, model=model, asynchronous=False, rename=rename, **options)

    def invoke(self, body: Any, client: Any = None, **fields: Any) -> dict[str, Any]:
        """InvokeEndpoint; the answer's ``Body`` is read, and decoded if it is JSON."""
        answer = (client or self.client).invoke_endpoint(**self._fields(body, fields))
        raw = answer["Body"].read()
        seen = {name: value for name, value in answer.items() if name not in ("Body", "ResponseMetadata")}
        return seen | {"Body": json.loads(raw) if answer["ContentType"].startswith("application/json") else raw}

    def stream(self, body: Any, **fields: Any) -> Streamed:
        """InvokeEndpointWithResponseStream, read to its end."""
        answer = self.client.invoke_endpoint_with_response_stream(**self._fields(body, fields))
        with closing(answer["Body"]) as events:
            return Streamed(answer, [event["PayloadPart"]["Bytes"] for event in events])

    def leave(self, body: Any, **fields: Any) -> int:
        """The same, left after the first part; its size."""
        answer = self.client.invoke_endpoint_with_response_stream(**self._fields(body, fields))
        with closing(answer["Body"]) as events:
            return len(next(iter(events))["PayloadPart"]["Bytes"])

    def error(self, client: Any = None, *, stream: bool = False, **fields: Any) -> tuple[dict[str, Any], Any]:
        """What a failing call raised, as data: class, status, code, and the container's own status."""
        fields.setdefault("body", chat("Hello"))
        if "model" in fields:
            fields["EndpointName"] = fields.pop("model")
        error = self.failure(self.stream, **fields) if stream else self.failure(self.invoke, client=client, **fields)
        seen: dict[str, Any] = {"class": type(error).__name__}
        response = getattr(error, "response", None)
        if response is None:
            return seen, None
        whole = {name: value for name, value in response.items() if name != "ResponseMetadata"}
        seen |= {"status": response.get("ResponseMetadata", {}).get("HTTPStatusCode"), "code": whole["Error"]["Code"]}
        if "OriginalStatusCode" in whole:
            seen["original_status"] = whole["OriginalStatusCode"]
        return seen, whole

    def _fields(self, body: Any, fields: dict[str, Any]) -> dict[str, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return {"EndpointName": self.model, "ContentType": "application/json", "Body": raw, **fields}


def _client(base_url: str, api_key: str, secret: str, region: str, timeout: float) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "sagemaker-runtime",
        region_name=region,
        endpoint_url=base_url,
        aws_access_key_id=api_key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=timeout, connect_timeout=timeout),
    )


SAGEMAKER_RUNTIME: Suite[SageMakerSession] = Suite("sagemaker.invocations")
"""All checks of the service."""


def chat(text: str, **fields: Any) -> dict[str, Any]:
    """A chat of one message."""
    return {"messages": [{"role": "user", "content": text}], **fields}


def chat_gist(body: dict[str, Any]) -> dict[str, Any]:
    """What a whole chat completion says."""
    expect(body["object"] == "chat.completion" and len(body["choices"]) == 1, "a chat completion", body)
    choice, usage = body["choices"][0], body["usage"]
    gist = {
        "text": choice["message"]["content"],
        "finish": choice["finish_reason"],
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
    }
    if calls := choice["message"].get("tool_calls"):
        gist["tool_calls"] = [call_gist(call["function"]["name"], call["function"]["arguments"]) for call in calls]
    return gist


def streamed_chat_gist(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """What the chunks of one say."""
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    expect(all(chunk["object"] == "chat.completion.chunk" for chunk in chunks), "chunks", chunks[:1])
    finishes = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    expect(len(finishes) == 1, "one finish reason", finishes)
    deltas = [choice["delta"] for choice in choices]
    gist: dict[str, Any] = {"text": "".join(delta.get("content") or "" for delta in deltas), "finish": finishes[0]}
    if calls := [call for delta in deltas for call in delta.get("tool_calls") or ()]:
        arguments = "".join(call["function"]["arguments"] for call in calls)
        gist["tool_calls"] = [call_gist(calls[0]["function"]["name"], arguments)]
    if usages := [chunk["usage"] for chunk in chunks if chunk.get("usage")]:
        gist |= {"input_tokens": usages[-1]["prompt_tokens"], "output_tokens": usages[-1]["completion_tokens"]}
    return gist


def streamed_text_gist(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the tokens of a completed text say."""
    text = "".join(row["token"]["text"] for row in rows if not row["token"].get("special"))
    expect(all(row["generated_text"] is None for row in rows[:-1]), "the whole text comes last", rows)
    expect(rows[-1]["generated_text"] == text, "the whole text is its tokens", rows[-1])
    gist: dict[str, Any] = {"text": text}
    if rows[-1]["details"]:
        gist |= {
            "finish": rows[-1]["details"]["finish_reason"],
            "output_tokens": rows[-1]["details"]["generated_tokens"],
        }
    return gist


def server_events(body: bytes, end: str | None) -> list[dict[str, Any]]:
    """The JSON of server-sent events; the last one is ``end``, if there is to be one."""
    blocks = body.decode().split("\n\n")
    expect(blocks.pop() == "", "every event is ended", body[-80:])
    found = [block.removeprefix("data:").strip() for block in blocks]
    if end is not None:
        expect(found.pop() == end, f"the last event is {end}", found[-1:])
    return [json.loads(data) for data in found]


def lines(body: bytes) -> list[dict[str, Any]]:
    """The JSON of lines; empty ones are none."""
    expect(body.endswith(b"\n"), "every line is ended", body[-80:])
    return [json.loads(line) for line in body.decode().split("\n") if line]
