"""What a refusal of Vertex AI means for one target: which project, location, model or role is wrong, and the command that mends it.

Google's front end words refusals for every API alike; what stands in them (a reason, a permission) says what to do, and the target
knows where. Refusals of a model's own (Anthropic's, a container's) are the dialect's to read.

Words follow answers that are quoted in public issue threads (2022 to 2026, read 2026-11-30).
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.errors import AttemptError, CredentialRejected, Rejected, TargetNotFound
from trimaran.providers.door import Headers
from trimaran.types import Target
from trimaran.wire.google_failures import google_error
from trimaran.wire.members import BAD_JSON

__all__ = ["vertex_refusal"]

_PASSES = ("gemini.", "vertex.")
"""Clients of these dialects are shown a refusal as Google wrote it."""

_FILES = ("storage.objects", "permission to access the file", "cloud storage")
"""What a 403 speaks of that is about a file of the client's, and not about who asks."""


def vertex_refusal(target: Target, dialect: str, status: int, headers: Headers, body: bytes) -> AttemptError | None:
    """The error; ``None``: it is not Google's, and the dialect knows what it means."""
    told = _google(body)
    if told is None:
        return None
    error = google_error(
        body,
        status,
        dialect=dialect if dialect.startswith(_PASSES) else "",
        retry_after=headers.get(b"retry-after"),
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
    )
    better = _explained(target, status, told)
    if better is None:
        return error
    kind, message = better
    return kind(
        message,
        upstream_status=status,
        retry_after_s=error.retry_after_s,
        body=error.body,
        content_type=error.content_type,
        dialect=error.dialect,
    )


def _google(body: bytes) -> dict[str, Any] | None:
    """The error of a ``google.rpc.Status``; ``None``: it is another's. A model's own error has a ``type`` there."""
    try:
        value = msgspec.json.decode(body)
    except BAD_JSON:
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), int) or "status" not in error:
        return None
    return error


def _explained(target: Target, status: int, told: dict[str, Any]) -> tuple[type[AttemptError], str] | None:
    """What is known better than Google's words; ``None``: they say it."""
    project, location = target.facts.get("project", ""), target.facts.get("location", "")
    message = " ".join(str(told.get("message", "")).split())
    reason, about = _info(told)
    words = message.lower()
    if status == 403 and any(mark in words for mark in _FILES):
        return Rejected, f"a file that the request names may not be read: {message[:300]}"
    if status == 403:
        return CredentialRejected, _forbidden(project, location, target, reason, about, words, message)
    if status == 404 and ("publisher model" in words or "/models/" in words):
        return TargetNotFound, (
            f"there is no {target.upstream_model} for project {project} in location {location}; check the name and whether the "
            "model stands there (location: global has the most), and turn it on in Model Garden where its publisher asks for "
            f"that: https://console.cloud.google.com/vertex-ai/model-garden?project={project}"
        )
    if status == 404 and "endpoint" in words:
        name = target.facts.get("endpoint") or target.upstream_model
        return TargetNotFound, (
            f"there is no endpoint {name} for project {project} in location {location}; `gcloud ai endpoints list "
            f"--project={project} --region={location}` shows those that there are"
        )
    if "dedicated dns" in words:
        host = message.partition("dns name '")[2].partition("'")[0]
        return TargetNotFound, (
            f"the endpoint of {target.id} is a dedicated one and answers under its own name only: write dedicated_dns: "
            f"{host or '(its dedicatedEndpointDns)'} for it in endpoints"
        )
    return None


def _forbidden(
    project: str, location: str, target: Target, reason: str, about: dict[str, Any], words: str, message: str
) -> str:
    if reason == "SERVICE_DISABLED":
        service = str(about.get("service", "aiplatform.googleapis.com"))
        return f"the API {service} is not enabled in project {project}: run `gcloud services enable {service} --project={project}`"
    if reason == "BILLING_DISABLED":
        return (
            f"project {project} has no billing account: `gcloud billing projects link {project} --billing-account=...`"
        )
    if reason == "USER_PROJECT_DENIED":
        consumer = str(about.get("consumer", "")).removeprefix("projects/")
        return (
            f"requests may not be charged to project {consumer}: grant roles/serviceusage.serviceUsageConsumer there, or run "
            f"`gcloud auth application-default set-quota-project {project}`"
        )
    if reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
        return (
            "the credential lacks the scope https://www.googleapis.com/auth/cloud-platform; for a machine of GCE: `gcloud compute "
            "instances set-service-account ... --scopes=cloud-platform`"
        )
    if reason == "CONSUMER_INVALID" or words.startswith("permission denied on resource project"):
        return f"there is no project {project}, or the credential may not see it: `gcloud projects list` shows those it may"
    if "on 'locations/" in words:
        return (
            f"there is no location {location}: write one such as us-central1, europe-west4 or global; "
            "https://cloud.google.com/vertex-ai/docs/general/locations lists them"
        )
    permission = str(about.get("permission", "")) or (
        message.partition("'")[2].partition("'")[0] if "'" in message else ""
    )
    if permission.startswith("aiplatform."):
        return (
            f"the credential lacks {permission} in project {project}: `gcloud projects add-iam-policy-binding {project} "
            "--member=... --role=roles/aiplatform.user`"
        )
    return f"Vertex AI refused the credential for {target.id} (403): {message[:300]}"


def _info(told: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Reason and metadata of ``ErrorInfo``."""
    details = told.get("details")
    for each in details if isinstance(details, list) else ():
        if isinstance(each, dict) and isinstance(each.get("reason"), str):
            about = each.get("metadata")
            return each["reason"], about if isinstance(about, dict) else {}
    return "", {}
