"""Containers behind Azure's online endpoints that are Azure's own: the model catalog's scoring script, MLflow's, Hugging Face's.

The catalog takes ``{"input_data": {"input_string": […], "parameters": {…}}}``: turns of a chat give ``{"output": text}``, texts give
``[{"0": text}, …]``. MLflow takes tables and gives a list, of sums here. Hugging Face's inference toolkit takes ``{"inputs": …}``. They
share what they can with the containers behind SageMaker. Sources, read 2026-11-30: ``Azure/azureml-assets`` (the scoring payload of its
foundation models), learn.microsoft.com ("Deploy MLflow models to online endpoints", "How to deploy models from Hugging Face hub"),
``huggingface/huggingface-inference-toolkit``, ``langchain_community``'s formatters for Azure ML (what they send and read).
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from trimaran.testing.azure_ml import HuggingFaceTask, MLContainer
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose, reported_usage
from trimaran.testing.dialect import AnswerWriter, Request
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply, Usage
from trimaran.testing.openai_chat import OpenAIChat
from trimaran.testing.openai_common import encode
from trimaran.testing.openai_embeddings import unit_vector
from trimaran.testing.prompt_text import read_prompt
from trimaran.testing.sagemaker_chat import ChatServer
from trimaran.testing.sagemaker_containers import JSON, Call, ContainerError, ContainerServer, json_object
from trimaran.testing.sagemaker_tensor import AnyServer, TritonServer
from trimaran.testing.sagemaker_text import TGIServer
from trimaran.testing.transcript import Transcript
from trimaran.testing.whole import WholeWriter

__all__ = ["routed"]

_CHAT_FORMAT = (
    '{"input_data": {"input_string": [{"role":"user", "content": "str1"}, {"role": "assistant", "content": "str2"} ....], '
    '"parameters": {"k1":"v1", "k2":"v2"}}}'
)
_TEXT_FORMAT = '{"input_data": ["str1", "str2", ...], "params": {"k1":"v1", "k2":"v2"}}'
_MLFLOW = "Request must contain a top level key named 'input_data'"
_SCRIPT = "An unexpected error occurred in scoring script. Check the logs for more info."
_chat = OpenAIChat()


class _Texts:
    """Several texts, each with an answer of its own; ``alone``: one that did not come in a list."""

    def __init__(self, prompts: list[Prompt], alone: bool) -> None:
        self.prompts = prompts
        self.alone = alone
        self.replies: list[Reply] = []


class _Script:
    """What the scoring scripts share: JSON in, JSON out, at once."""

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """One answer after the other."""
        texts = prompt.request
        if not isinstance(texts, _Texts):
            return compose(prompt, behaviour, name)
        texts.replies = [compose(one, behaviour, name) for one in texts.prompts]
        usages = [reply.usage for reply in texts.replies]
        usage = Usage(sum(one.input for one in usages), sum(one.output for one in usages))
        return Reply([part for reply in texts.replies for part in reply.parts], "stop", usage)

    def stream_type(self, prompt: Prompt) -> bytes:
        """They do not stream."""
        return JSON

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Of an answer that says 200 and means an error."""
        return encode({"error": refusal.message})

    def error(self, refusal: Refusal) -> ContainerError:
        """The inference server's own answer where the script failed, else the script's."""
        if refusal.kind == "script":
            return ContainerError(500, encode({"message": _SCRIPT}))
        return ContainerError(refusal.status, encode({"error": refusal.message}))


class CatalogServer(_Script):
    """The scoring script of Azure's model catalog."""

    def __init__(self, *, chat: bool) -> None:
        self._is_chat = chat

    def read(self, call: Call) -> Prompt:
        """``input_data`` with turns, or with texts."""
        try:
            fields = json_object(call.body)
        except msgspec.MsgspecError as error:
            raise Refusal(400, "invalid", f"Failed to parse the request: {error}") from None
        given: Any = fields.get("input_data")
        inputs: Any
        if not self._is_chat and isinstance(given, list):
            inputs, parameters = given, fields.get("params") or {}
        elif isinstance(given, dict):
            inputs, parameters = given.get("input_string"), given.get("parameters") or {}
        else:
            raise self._malformed("Invalid input data")
        if not isinstance(inputs, list) or not inputs:
            raise self._malformed("query is not a list")
        if not isinstance(parameters, dict):
            raise self._malformed("parameters is not a dict")
        return self._turns(inputs, parameters) if self._is_chat else _texts(inputs, parameters)

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """``{"output": text}``, or a list of one member objects."""
        texts = prompt.request
        body: Any = {"output": reply.text() or reply.text("refusal")}
        if isinstance(texts, _Texts):
            body = [{"0": said.text() or said.text("refusal")} for said in texts.replies]
        return WholeWriter(encode(body), self, serial)

    def _turns(self, inputs: list[Any], parameters: dict[str, Any]) -> Prompt:
        wanted = {"model": "catalog", "messages": inputs, **_limits(parameters)}
        try:
            prompt = _chat.read(Request(b"POST", b"/score", [], encode(wanted), True))
        except Refusal as refusal:
            raise self._malformed(refusal.message) from None
        prompt.reasoning = "off"
        return prompt

    def _malformed(self, why: str) -> Refusal:
        shape = _CHAT_FORMAT if self._is_chat else _TEXT_FORMAT
        return Refusal(400, "invalid", f"Expected input format: \n{shape} ({why})")


class HuggingFaceServer(_Script):
    """Hugging Face's inference toolkit with one of its pipelines."""

    def __init__(self, task: HuggingFaceTask) -> None:
        self._task = task

    def read(self, call: Call) -> Prompt:
        """``inputs``: a text, or several."""
        try:
            fields = json_object(call.body)
        except msgspec.MsgspecError as error:
            raise Refusal(400, "invalid", str(error)) from None
        if "inputs" not in fields:
            raise Refusal(400, "invalid", "Body needs to provide a inputs key, received: " + ", ".join(fields))
        inputs, parameters = fields["inputs"], fields.get("parameters") or {}
        alone = not isinstance(inputs, list)
        parameters = parameters if isinstance(parameters, dict) else {}
        return _texts([inputs] if alone else inputs, parameters, alone=alone)

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """A text, or nothing but numbers."""
        if self._task == "text-generation":
            return super().compose(prompt, behaviour, name)
        return Reply([Part("text", [])], "stop", reported_usage(prompt, behaviour, 0))

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """What the pipeline gives; of a list of texts a list more."""
        texts: _Texts = prompt.request
        if self._task == "text-generation":
            rows: list[Any] = [[{"generated_text": said.text()}] for said in texts.replies]
        else:
            rows = [_computed(self._task, one.last_text) for one in texts.prompts]
        return WholeWriter(encode(rows[0] if texts.alone else rows), self, serial)


class MLflowServer(_Script):
    """MLflow's scoring script: tables in, a list out."""

    def read(self, call: Call) -> Prompt:
        """``input_data``: rows, columns with rows (``split``), or columns by name."""
        try:
            given = json_object(call.body).get("input_data")
        except msgspec.MsgspecError:
            given = None
        if given is None:
            raise Refusal(500, "script", _MLFLOW)
        rows = _rows(given)
        if rows is None:
            raise Refusal(500, "script", "input_data is not a table")
        return Prompt("", reasoning="off", input_tokens=(len(call.body) + 3) // 4, request=rows)

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """Sums."""
        return Reply([Part("text", [])], "stop", reported_usage(prompt, behaviour, 0))

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """One number a row."""
        return WholeWriter(encode([_sum(row) for row in prompt.request]), self, serial)


_SERVERS: dict[MLContainer, ContainerServer] = {
    "vllm": ChatServer(),
    "tgi": TGIServer(),
    "catalog_chat": CatalogServer(chat=True),
    "catalog_text": CatalogServer(chat=False),
    "mlflow": MLflowServer(),
    "triton": TritonServer(),
    "tensor": AnyServer(),
}
_CHAT_ROUTES = ("/v1/chat/completions", "/chat/completions")
_ROUTES: dict[MLContainer, tuple[str, ...]] = {
    "vllm": _CHAT_ROUTES,
    "tgi": ("/score", "/generate", "/generate_stream", "/"),
    "catalog_chat": ("/score",),
    "catalog_text": ("/score",),
    "huggingface": ("/score", "/"),
    "mlflow": ("/score", "/invocations"),
}
_OPENAI: tuple[MLContainer, ...] = ("tgi", "catalog_chat")
"""Containers that speak OpenAI's chat, too."""


def routed(container: MLContainer, task: HuggingFaceTask, route: str) -> ContainerServer | None:
    """Who answers a path in a container; ``None``: nobody."""
    if container in _OPENAI and route in _CHAT_ROUTES:
        return _SERVERS["vllm"]
    if container == "triton":
        known = route.startswith("/v2/models/") and route.endswith("/infer")
    else:
        known = route in _ROUTES.get(container, (route,))
    if not known:
        return None
    return HuggingFaceServer(task) if container == "huggingface" else _SERVERS[container]


def _limits(parameters: dict[str, Any]) -> dict[str, Any]:
    """The catalog's parameters as OpenAI's. Those that change no shape are left out."""
    limits: dict[str, Any] = {}
    if (most := parameters.get("max_new_tokens", parameters.get("max_tokens"))) is not None:
        limits["max_tokens"] = most
    if (stop := parameters.get("stop")) is not None:
        limits["stop"] = stop
    return limits


def _texts(inputs: list[Any], parameters: dict[str, Any], *, alone: bool = False) -> Prompt:
    """A prompt of several texts."""
    most = parameters.get("max_new_tokens", parameters.get("max_tokens"))
    stop = parameters.get("stop") or ()
    prompts = []
    for text in inputs:
        one = Prompt("", reasoning="off", stop=(stop,) if isinstance(stop, str) else tuple(stop))
        one.max_output_tokens = most if isinstance(most, int) else None
        transcript = Transcript(one)
        read_prompt(text if isinstance(text, str) else encode(text).decode(), transcript)
        prompts.append(transcript.finish())
    whole = Prompt("", reasoning="off", input_tokens=sum(one.input_tokens for one in prompts))
    whole.request = _Texts(prompts, alone)
    return whole


def _computed(task: HuggingFaceTask, text: str) -> list[Any]:
    """What a pipeline that does not generate makes of a text."""
    if task == "feature-extraction":
        return [unit_vector(text, 8).tolist()]
    score = hashlib.sha256(text.encode()).digest()[0] / 255
    label = "POSITIVE" if score >= 0.5 else "NEGATIVE"
    return [{"label": label, "score": max(score, 1 - score)}]


def _rows(given: Any) -> list[Any] | None:
    if isinstance(given, list):
        return given
    if not isinstance(given, dict):
        return None
    if "data" in given:
        return given["data"] if isinstance(given["data"], list) else None
    columns = list(given.values())
    if not columns or not all(isinstance(column, list) for column in columns):
        return None
    return [list(row) for row in zip(*columns, strict=False)]


def _sum(row: Any) -> float:
    cells = row if isinstance(row, list) else list(row.values()) if isinstance(row, dict) else [row]
    return float(sum(cell for cell in cells if isinstance(cell, int | float)))
