"""What ``trimaran doctor`` finds out about a provider of Google Cloud's: which credential, as whom, which project and location; of Vertex AI
which models and endpoints answer there, of Cloud Run whether the service lets us in. Each problem comes with what mends it.

It fetches the credential as the gateway would, and asks for what costs nothing: counting the tokens of a word takes the same
permission as an answer, and shows whether a model stands where the gateway looks for it. That a list is refused does not mean that
requests will be: it is told and is no failure.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from trimaran.cli.finding import Finding, judged
from trimaran.errors import AttemptError
from trimaran.providers import Endpoint, door_of, kind_of
from trimaran.providers.google.access import source
from trimaran.providers.google.cloud_run import CloudRunDoor
from trimaran.providers.google.vertex_endpoints import vertex_endpoint
from trimaran.providers.google.vertex_refusals import vertex_refusal
from trimaran.types import Credential, Target
from trimaran.wire import DIALECTS

__all__ = ["check_google", "not_configured"]

_PROBE = "gemini-2.5-flash-lite"
"""Asked for where the configuration names no model: whether it stands in the location does not matter to the permission."""
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_SHOWN = 8


def not_configured(found: Endpoint) -> Finding:
    """Nothing says that Google Cloud is meant."""
    cloud_run = found.row is not None and found.row.name == "cloud_run"
    write = f"providers.{found.name}: " + (
        "{base_url: https://my-service-123456789012.europe-west4.run.app}"
        if cloud_run
        else "{project: my-project, location: europe-west4}"
    )
    first = "" if cloud_run else "export GOOGLE_APPLICATION_CREDENTIALS=... and GOOGLE_CLOUD_PROJECT=..., or "
    return Finding(
        provider=found.name,
        state="not_configured",
        detail="no credential",
        todo=f"{first}write {write}, and run `gcloud auth application-default login`",
        tried=found.tried,
        base_url=found.base_url,
    )


def check_google(found: Endpoint, wanted: set[str], environ: Mapping[str, str], limit_s: float) -> Finding:
    """One provider of Google's, within ``limit_s`` in all. ``wanted``: the models that the configuration names."""
    return judged(found, _Check(found, wanted, limit_s), lambda error: ("unreachable", _fault(error, found)))


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body; empty where it is no JSON object."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class _Check:
    """One check under way."""

    def __init__(self, found: Endpoint, wanted: set[str], limit_s: float) -> None:
        self._found = found
        self._wanted = sorted(wanted)
        self._end = time.monotonic() + limit_s
        self._credential: Credential | None = None
        self.credential = "none"
        self.warnings: list[str] = []

    def run(self) -> tuple[str, str, str]:
        """State, detail and what to do. Raises :class:`ConfigError`, and what a connection raises."""
        found = self._found
        if found.access is not None:
            self._credential = source(found.access.identity, found.access.words).fetch()
            self.credential = self._credential.source
        elif found.secret is not None:
            self.credential = found.secret_from
        if found.row is not None and found.row.name == "cloud_run":
            return self._cloud_run()
        return self._vertex()

    # Vertex AI

    def _vertex(self) -> tuple[str, str, str]:
        found = self._found
        facts = found.facts
        place = f" ({found.access.place_from})" if found.access is not None else ""
        told = [f"project {facts.get('project', '')}, location {facts.get('location', '')}{place}", self.credential]
        problems: list[str] = []
        refused = self._asked(self._target(_PROBE))
        if refused is not None and refused.upstream_status in (400, 401, 403):
            return "rejected", "; ".join(told), str(refused)
        for name in self._wanted:
            problem = self._about(name)
            if problem:
                problems.append(problem)
        told += self._visible()
        if not problems:
            return "ok", "; ".join(told), ""
        self.warnings += problems[1:]
        state = "misconfigured" if len(problems) == len(self._wanted) else "ok"
        return state, "; ".join(told), problems[0]

    def _about(self, name: str) -> str:
        """What is wrong with one of the configured models; empty: nothing."""
        target = self._target(name)
        if "endpoint" in target.facts:
            return self._endpoint(target)
        if target.facts.get("publisher") in ("google", "anthropic"):
            refused = self._asked(target)
            return "" if refused is None else str(refused)
        publisher, _, model = target.upstream_model.partition("/")
        answer = self._call("GET", f"/v1beta1/publishers/{publisher}/models/{model.partition('@')[0]}")
        return f"Vertex AI knows no {target.upstream_model}" if answer.status == 404 else ""

    def _target(self, name: str) -> Target:
        found = self._found
        assert found.row is not None
        template = Target(
            f"{found.name}/*",
            found.name,
            "*",
            found.dialects,
            found.base_url,
            kind=found.row.name,
            door=found.row.door,
            facts=found.facts,
        )
        written = found.config.endpoints.get(name)
        if written is not None:
            return vertex_endpoint(template, name, written)
        return kind_of(found.row.name).target(template, name, None)

    def _asked(self, target: Target) -> AttemptError | None:
        """Count the tokens of a word; ``None``: it worked."""
        claude = target.facts.get("publisher") == "anthropic"
        door = door_of(target, "anthropic.count_tokens" if claude else "gemini.count_tokens")
        asked: dict[str, Any] = (
            {"model": target.upstream_model, "messages": [{"role": "user", "content": "hi"}]}
            if claude
            else {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
        )
        body, _ = door.request(json.dumps(asked).encode(), False, b"")
        answer = self._call("POST", door.path(False).decode(), body)
        if answer.status == 200:
            return None
        kind = answer.headers.get(b"content-type", b"").decode("latin-1")
        return door.refusal(answer.status, answer.headers, answer.body) or DIALECTS[door.dialect.name].read_error(
            answer.status, None, kind, answer.body
        )

    def _endpoint(self, target: Target) -> str:
        facts = target.facts
        root = f"/v1/projects/{facts['project']}/locations/{facts['location']}"
        answer = self._call("GET", f"{root}/endpoints/{facts['endpoint']}")
        if answer.status != 200:
            refused = vertex_refusal(target, "", answer.status, answer.headers, answer.body)
            return str(refused) if refused is not None else f"{target.id}: Vertex AI answered {answer.status}"
        row = answer.json()
        if not row.get("deployedModels"):
            return f"no model is deployed to the endpoint of {target.id}: `gcloud ai endpoints deploy-model`"
        dns = row.get("dedicatedEndpointDns", "")
        if dns and urlsplit(target.base_url).hostname != dns and urlsplit(self._found.config.base_url).hostname is None:
            return f"{target.id} is a dedicated endpoint: write dedicated_dns: {dns} for it in endpoints"
        return ""

    def _visible(self) -> Iterator[str]:
        """What there is, as far as it may be listed."""
        facts = self._found.facts
        answer = self._call("GET", "/v1beta1/publishers/google/models?pageSize=200")
        if answer.status == 200:
            yield f"{len(answer.json().get('publisherModels', []))} models of Google's are listed"
        if facts.get("location") in ("global", "us", "eu"):
            return
        root = f"/v1/projects/{facts.get('project', '')}/locations/{facts.get('location', '')}"
        answer = self._call("GET", f"{root}/endpoints?pageSize=100")
        if answer.status != 200:
            return
        names = [str(row.get("name", "")).rpartition("/")[2] for row in answer.json().get("endpoints", [])]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield f"endpoints: {', '.join(names[:_SHOWN])}{more}"

    # Cloud Run

    def _cloud_run(self) -> tuple[str, str, str]:
        found = self._found
        audience = found.access.identity.settings.get("audience", "") if found.access is not None else ""
        told = [f"audience {audience}" if audience else "a key of the container's", self.credential]
        try:
            answer = self._call("GET", "/v1/models")
        except TimeoutError:
            return (
                "unclear",
                "; ".join([*told, "no answer in time"]),
                (
                    "an instance may be starting (a cold start of a large model takes minutes): ask again, or keep one running "
                    "(--min-instances=1)"
                ),
            )
        door = CloudRunDoor(
            Target(f"{found.name}/*", found.name, "*", found.dialects, found.base_url), DIALECTS["openai.chat"]
        )
        refused = door.refusal(answer.status, answer.headers, answer.body)
        if refused is not None and answer.status != 404:
            return "rejected" if answer.status in (401, 403) else "unclear", "; ".join(told), str(refused)
        if answer.status == 404:
            return "unclear", "; ".join([*told, "the service lists no models"]), "check base_url if requests fail"
        if answer.status != 200:
            return "unclear", "; ".join([*told, f"the container answered {answer.status}"]), "see the service's logs"
        served = {str(row.get("id")) for row in answer.json().get("data", []) if isinstance(row, dict)}
        missing = [name for name in self._wanted if served and name not in served]
        if missing:
            names = ", ".join(sorted(served)[:_SHOWN])
            return "ok", "; ".join(told), f"the container does not serve {', '.join(missing)}; it serves {names}"
        return "ok", "; ".join([*told, f"serves {', '.join(sorted(served)[:_SHOWN])}" if served else "answers"]), ""

    # Calls

    def _call(self, method: str, path: str, body: bytes = b"") -> _Answer:
        parts = urlsplit(self._found.base_url)
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=left_s)
        headers = {"user-agent": "trimaran", "content-type": "application/json"}
        headers |= {name: value.reveal() for name, value in self._found.config.headers.items()}
        if self._credential is not None:
            token, *rest = self._credential.parts
            headers |= {"authorization": f"Bearer {token}", **dict(zip(rest[::2], rest[1::2], strict=True))}
        elif self._found.secret is not None:
            headers["authorization"] = f"Bearer {self._found.secret.reveal()}"
        try:
            connection.request(method, parts.path.rstrip("/") + path, body or None, headers)
            response = connection.getresponse()
            lines = {name.lower().encode(): value.encode("latin-1") for name, value in response.getheaders()}
            return _Answer(response.status, lines, response.read(_MAX_ANSWER_BYTES))
        finally:
            connection.close()


def _fault(error: Exception, found: Endpoint) -> tuple[str, str]:
    host = urlsplit(found.base_url).hostname
    match error:
        case socket.gaierror():
            return f"the name {host} cannot be resolved", "check location, base_url and DNS"
        case ssl.SSLError():
            return f"TLS with {host} failed", "is a proxy intercepting it? point SSL_CERT_FILE at its certificate"
        case TimeoutError():
            return "no answer in time", "check the network, the firewall and base_url"
        case OSError() | http.client.HTTPException():
            return f"{host} cannot be reached", "check the network, the firewall and base_url"
        case _:
            return f"the check failed ({type(error).__name__})", "try again"
