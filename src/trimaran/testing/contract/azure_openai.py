"""What Azure adds to ``openai.chat`` and ``openai.responses``, checked with ``openai.AzureOpenAI``: the content filter, deployments,
versions of the API, quota.

The conversations themselves are the affair of OpenAI's suites, which run with the same sessions. All checks need
:data:`SIMULATED_DEPLOYMENTS` and :data:`SIMULATED_FILTERS`. Those that are ``portable`` say what a gateway in front of Azure owes its
clients, too.
"""

from __future__ import annotations

from typing import Any

from trimaran.testing.azure_openai_account import AzureDeployment
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.contract.azure_session import AzureChatSession
from trimaran.testing.contract.openai_chat_session import streamed, unary, user
from trimaran.testing.contract.suite import Suite, expect, plain

__all__ = ["AZURE_OPENAI", "SIMULATED_DEPLOYMENTS", "SIMULATED_FILTERS", "check_azure_openai"]

SIMULATED_DEPLOYMENTS: tuple[AzureDeployment, ...] = (
    AzureDeployment(name="sim-chat", model="gpt-4o", version="2024-11-20"),
    AzureDeployment(name="sim-embeddings", model="text-embedding-3-small"),
    AzureDeployment(name="sim-asynchronous", model="gpt-4o", filtering="asynchronous"),
    AzureDeployment(name="sim-creating", model="gpt-4o", succeeded=False),
    AzureDeployment(name="sim-provisioned", model="gpt-4o", sku="ProvisionedManaged", capacity=50, utilization=37.5),
    AzureDeployment(name="sim-full", model="gpt-4o", sku="ProvisionedManaged", capacity=50, utilization=100),
    AzureDeployment(name="sim-used-up", model="gpt-4o", sku="Standard", throttled_s=26),
)
"""What the checks ask for beside other names. Pass them to a simulated account with a ``template``."""

SIMULATED_FILTERS: dict[str, Behaviour] = {
    "sim-prompt-violent": Behaviour(blocked_prompt="violence"),
    "sim-prompt-jailbreak": Behaviour(blocked_prompt="jailbreak"),
    "sim-answer-filtered": Behaviour(finish_reason="content_filter"),
}
"""Deployments with behaviours. Pass them as ``behaviours=`` to a simulated provider, beside the models'."""

AZURE_OPENAI: Suite[AzureChatSession] = Suite("azure_openai")
"""All checks."""
_SAFE = ("hate", "self_harm", "sexual", "violence")
_HI = user("Say hello.")
_check = AZURE_OPENAI.check(simulated=True)
_portable = AZURE_OPENAI.check(simulated=True, portable=True)


def check_azure_openai(endpoint: str, key: str, *, asynchronous: bool = False) -> dict[str, dict[str, Any]]:
    """Run the whole suite; results by check. Raises :class:`~trimaran.testing.contract.ContractError`."""
    with AzureChatSession(endpoint, key, model="sim-chat", asynchronous=asynchronous) as session:
        return AZURE_OPENAI.run(session)


def _error(session: AzureChatSession, client: Any = None, **fields: Any) -> tuple[dict[str, Any], Any]:
    """Class, status and code of the SDK's exception, and what its body says."""
    method = (client or session.client).chat.completions.create
    return _seen(session.failure(method, **{"model": session.model, "messages": _HI, **fields}))


def _seen(error: Exception) -> tuple[dict[str, Any], Any]:
    known: Any = error
    waits = {name: known.response.headers.get(name) for name in ("retry-after", "retry-after-ms")}
    gist = {"class": type(error).__name__, "status": known.status_code, "code": known.code, **waits}
    return gist, known.body


def _coded(seen: tuple[dict[str, Any], Any], status: int, code: str | None) -> tuple[dict[str, Any], Any]:
    expect(seen[0]["status"] == status and seen[0]["code"] == code, f"{status} {code}", seen[0])
    return seen


# The content filter


@_check
def verdicts(session: AzureChatSession) -> Any:
    """An answer says what the filter thinks of the prompt and of each choice."""
    answer = session.create(messages=_HI)
    (prompt,) = answer.model_extra["prompt_filter_results"]
    choice = answer.choices[0].model_extra["content_filter_results"]
    for said in (prompt["content_filter_results"], choice):
        expect(all(said[name] == {"filtered": False, "severity": "safe"} for name in _SAFE), "all is safe", said)
    expect("jailbreak" in prompt["content_filter_results"], "prompts are looked at for jailbreaks", prompt)
    return unary(answer)


@_check
def stream_verdicts(session: AzureChatSession) -> Any:
    """The same of a stream: the prompt's in a first chunk (the session has looked at it), each text's beside it."""
    chunks = session.stream(messages=_HI)
    for chunk in chunks:
        for choice in chunk.choices:
            said = choice.model_extra["content_filter_results"]
            expect(not choice.delta.content or said["violence"]["severity"] == "safe", "a verdict on each text", choice)
    return streamed(chunks)


@_check
def asynchronous_verdicts(session: AzureChatSession) -> Any:
    """With an asynchronous filter a chunk of its own has them: its choice says nothing, and has no ``delta``."""
    chunks = session.stream(model=session.named("sim-asynchronous"), messages=_HI)
    late = [chunk for chunk in chunks if chunk.choices and getattr(chunk.choices[0], "delta", None) is None]
    expect(len(late) == 1 and not late[0].id, "one late chunk without an id", late)
    extra = late[0].choices[0].model_extra
    said = [chunk for chunk in chunks if chunk not in late]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in said if chunk.choices)
    expect(extra["content_filter_offsets"]["end_offset"] == len(text), "the verdict is on all of the text", extra)
    return {"text": text}, said


@_portable
def prompt_refused(session: AzureChatSession) -> Any:
    """A prompt that the filter stops is a 400 with a code of its own, and says why."""
    gist, body = _error(session, model=session.named("sim-prompt-violent"))
    why = body["innererror"]["content_filter_result"]
    expect(why["violence"] == {"filtered": True, "severity": "medium"}, "the category is told", why)
    return gist, body


@_portable
def prompt_refused_stream(session: AzureChatSession) -> Any:
    """So it is where a stream was asked for."""
    return _coded(_error(session, model=session.named("sim-prompt-violent"), stream=True), 400, "content_filter")


@_portable
def jailbreak_refused(session: AzureChatSession) -> Any:
    """A jailbreak is detected or not; it has no severity."""
    gist, body = _error(session, model=session.named("sim-prompt-jailbreak"))
    why = body["innererror"]["content_filter_result"]
    expect(why["jailbreak"] == {"filtered": True, "detected": True}, "it was detected", why)
    return gist, body


@_portable
def prompt_refused_in_responses(session: AzureChatSession) -> Any:
    """The responses API says why in another place."""
    method = session.client.responses.create
    error = session.failure(method, model=session.named("sim-prompt-violent"), input="Hello", store=False)
    gist, body = _seen(error)
    (why,) = body["content_filters"]
    expect(why["blocked"] and why["source_type"] == "prompt", "the prompt was stopped", why)
    return gist, body


@_portable
def answer_filtered(session: AzureChatSession) -> Any:
    """An answer that the filter stops has no text, and a finish reason of its own."""
    answer = session.create(model=session.named("sim-answer-filtered"), messages=_HI)
    choice = answer.choices[0]
    expect(choice.finish_reason == "content_filter" and not choice.message.content, "nothing but the reason", choice)
    return {"finish": choice.finish_reason, "text": choice.message.content or ""}, answer


@_portable
def stream_answer_filtered(session: AzureChatSession) -> Any:
    """A stream ends in the middle, with the same finish reason."""
    gist, chunks = streamed(session.stream(model=session.named("sim-answer-filtered"), messages=_HI))
    expect(gist["finish"] == "content_filter" and gist["text"], "some text, and the reason", gist)
    return gist, chunks


@_portable
def response_filtered(session: AzureChatSession) -> Any:
    """A response is incomplete then."""
    method = session.client.responses.create
    answer = session.call(method, model=session.named("sim-answer-filtered"), input="Hello", store=False)
    reason = answer.incomplete_details.reason
    expect(answer.status == "incomplete" and reason == "content_filter", "incomplete, and why", answer)
    return {"finish": reason}, answer


# Deployments


@_check
def model_behind_the_deployment(session: AzureChatSession) -> Any:
    """An answer names the model and its version, not the deployment."""
    gist, answer = unary(session.create(model=session.named("sim-chat"), messages=_HI))
    expect(answer.model == "gpt-4o-2024-11-20", "model and version", answer.model)
    return gist, answer


@_check
def model_in_the_body(session: AzureChatSession) -> Any:
    """The body's model does not matter where the path names the deployment."""
    with session.borrowed(azure_deployment=session.named("sim-chat")) as client:
        answer = session.call(client.chat.completions.create, model="something-else", messages=_HI)
    expect(answer.model == "gpt-4o-2024-11-20", "the model behind the deployment of the path", answer.model)
    return unary(answer)


@_portable
def unknown_deployment(session: AzureChatSession) -> Any:
    """A 404 with a code of its own."""
    return _coded(_error(session, model="missing-deployment"), 404, "DeploymentNotFound")


@_check
def unready_deployment(session: AzureChatSession) -> Any:
    """One that is being made does not exist yet."""
    return _coded(_error(session, model=session.named("sim-creating")), 404, "DeploymentNotFound")


@_check
def wrong_operation(session: AzureChatSession) -> Any:
    """A model for vectors does not chat."""
    return _coded(_error(session, model=session.named("sim-embeddings")), 400, "OperationNotSupported")


@_check
def wrong_version(session: AzureChatSession) -> Any:
    """An unknown version of the API is a resource that is not there."""
    with session.borrowed(api_version="latest") as client:
        return _coded(_error(session, client), 404, "404")


@_check
def responses_need_a_newer_version(session: AzureChatSession) -> Any:
    """An older version has no responses, and says which has."""
    with session.borrowed(api_version="2024-10-21") as client:
        error = session.failure(client.responses.create, model=session.model, input="Hello")
    gist, body = _seen(error)
    expect("2025-03-01-preview" in body["message"], "the version that has them", body)
    return gist, body


@_check
def wrong_key(session: AzureChatSession) -> Any:
    """A wrong key is a 401 with the number as its code."""
    with session.with_key("wrong") as client:
        return _coded(_error(session, client), 401, "401")


@_check
def wrong_token(session: AzureChatSession) -> Any:
    """A token that nobody knows is a 401 without a code."""
    with session.borrowed(api_key=None, azure_ad_token="wrong") as client:
        return _coded(_error(session, client), 401, None)


# Quota


@_portable
def used_up(session: AzureChatSession) -> Any:
    """Quota: a 429 that says how long to wait, in two units."""
    gist, body = _error(session, model=session.named("sim-used-up"))
    expect(gist["retry-after"] == "26" and gist["retry-after-ms"] == "26000", "how long to wait", gist)
    return gist, body


@_portable
def provisioned_full(session: AzureChatSession) -> Any:
    """A provisioned deployment at its limit: the wait is in milliseconds."""
    gist, body = _error(session, model=session.named("sim-full"))
    expect(int(gist["retry-after-ms"]) < 1_000, "how long to wait", gist)
    return gist, body


@_check
def utilization(session: AzureChatSession) -> Any:
    """A provisioned deployment tells how full it is, another one what is left of its quota."""
    method = session.client.chat.completions.with_raw_response.create
    provisioned = session.call(method, model=session.named("sim-provisioned"), messages=_HI).headers
    expect(provisioned["azure-openai-deployment-utilization"] == "37.5%", "how full it is", dict(provisioned))
    shared = session.call(method, model=session.named("sim-chat"), messages=_HI).headers
    left = {name: shared[f"x-ratelimit-{name}"] for name in ("limit-tokens", "remaining-tokens", "remaining-requests")}
    expect(int(left["remaining-tokens"]) < int(left["limit-tokens"]), "what is left", left)
    region = shared["x-ms-region"]
    return left | {"region": region}, plain(left)
