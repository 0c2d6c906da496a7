"""What ``trimaran doctor`` finds out: for each provider, whether it can be used, or what was tried and what to do.

Each provider is asked once, for something that costs nothing (its list of models), all at the same time, with one
deadline for each. No message holds a credential: a key is shown as its first characters at most. Redirects are not
followed and proxies not used, exactly as the gateway itself behaves, because a check that behaves otherwise proves
nothing.
"""

from __future__ import annotations

import http.client
import json
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from trimaran.cli.doctor_aws import check_aws
from trimaran.cli.doctor_aws import not_configured as not_configured_aws
from trimaran.cli.doctor_azure import check_azure
from trimaran.cli.doctor_azure import not_configured as not_configured_azure
from trimaran.cli.doctor_google import check_google
from trimaran.cli.doctor_google import not_configured as not_configured_google
from trimaran.cli.finding import Finding
from trimaran.config import Config, quote
from trimaran.errors import ConfigError
from trimaran.providers import PROVIDERS, Endpoint, default_headers, endpoint, signer
from trimaran.types import Target

__all__ = ["Finding", "run"]

_Check = Callable[[Endpoint, set[str], Mapping[str, str], float], Finding]
_CHECKS: dict[str, _Check] = {"aws": check_aws, "entra": check_azure, "google": check_google}
"""By the cloud of a provider: what is found out with its identity or key."""
_NOT_CONFIGURED: dict[str, Callable[[Endpoint], Finding]] = {
    "aws": not_configured_aws,
    "entra": not_configured_azure,
    "google": not_configured_google,
}

LIMIT_S = 5.0
"""For each provider, from name resolution to the end of its answer. A healthy one takes a tenth of a second."""

_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_CHECK_PATH = "/v1/models"
_PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


def run(config: Config, environ: Mapping[str, str], *, limit_s: float = LIMIT_S) -> list[Finding]:
    """A finding for each known and each configured provider, the usable ones first. Blocks for ``limit_s`` at most."""
    names = list(dict.fromkeys([*PROVIDERS, *config.providers]))
    findings: dict[str, Finding] = {}
    checks: dict[str, Endpoint] = {}
    for name in names:
        try:
            found = endpoint(name, config, environ)
        except ConfigError as error:
            findings[name] = Finding(provider=name, state="misconfigured", detail=error.message, todo=_todo(error))
            continue
        if not found.evident or (not found.usable and found.problem is None):
            told = _NOT_CONFIGURED.get(found.row.cloud) if found.row is not None and found.access is not None else None
            findings[name] = told(found) if told is not None else _not_configured(found)
        elif found.problem is not None:
            findings[name] = _unplaced(found, found.problem)
        else:
            checks[name] = found
    findings |= _check_all(checks, _expected(config), environ, limit_s)
    return sorted((findings[name] for name in names), key=lambda finding: finding.state == "not_configured")


def mask(secret: str) -> str:
    """How a credential begins, when it is long enough for that to reveal nothing."""
    return f"{secret[:7]}…" if len(secret) >= 24 else "***"


def _todo(error: ConfigError) -> str:
    return f"{error.where}: {error.hint}" if error.hint else f"see {error.where}"


def _not_configured(found: Endpoint) -> Finding:
    variable = found.tried[1]
    return Finding(
        provider=found.name,
        state="not_configured",
        detail="no credential",
        todo=f"export {variable}=..., or write {found.tried[0]}: ${{{variable}}}",
        tried=found.tried,
        base_url=found.base_url,
    )


def _unplaced(found: Endpoint, problem: ConfigError) -> Finding:
    return Finding(
        provider=found.name,
        state="misconfigured",
        detail=problem.message,
        todo=problem.hint,
        tried=found.tried,
        base_url=found.base_url,
        warnings=found.warnings,
    )


def _expected(config: Config) -> dict[str, set[str]]:
    """Models that the configuration wants of each provider."""
    wanted: dict[str, set[str]] = {}
    for model in config.models.values():
        for target in model.targets:
            provider, _, upstream = target.partition("/")
            if upstream != "*":
                wanted.setdefault(provider, set()).add(upstream)
    return wanted


def _check_all(
    checks: Mapping[str, Endpoint], wanted: Mapping[str, set[str]], environ: Mapping[str, str], limit_s: float
) -> dict[str, Finding]:
    answers: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    proxied = any(environ.get(name) for name in _PROXY_VARIABLES)
    for found in checks.values():
        # Daemons: name resolution has no deadline of its own, and the command must not wait for it.
        threading.Thread(
            target=lambda found=found: answers.put(
                _check(found, wanted.get(found.name, set()), proxied, limit_s, environ)
            ),
            daemon=True,
        ).start()
    findings: dict[str, Finding] = {}
    deadline = time.monotonic() + limit_s
    while len(findings) < len(checks):
        try:
            finding = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        findings[finding.provider] = finding
    for name, found in checks.items():
        if name not in findings:
            findings[name] = _finding(found, "unreachable", f"no answer within {limit_s:g} s", _NETWORK)
    return findings


_NETWORK = "check the network, the firewall and base_url"


def _check(found: Endpoint, wanted: set[str], proxied: bool, limit_s: float, environ: Mapping[str, str]) -> Finding:
    by_cloud = _CHECKS.get(found.row.cloud) if found.row is not None else None
    if by_cloud is not None:
        return by_cloud(found, wanted, environ, limit_s)
    start = time.monotonic()
    try:
        status, location, body = _get(found, limit_s)
    except Exception as error:  # whatever http.client and ssl raise for a broken peer, one finding each
        detail, todo = _fault(error, found, proxied)
        return _finding(found, "unreachable", detail, todo)
    state, detail, todo = _judged(found, status, location, body, wanted)
    return _finding(found, state, detail, todo, time.monotonic() - start)


def _get(found: Endpoint, limit_s: float) -> tuple[int, str, bytes]:
    parts = urlsplit(found.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", port, timeout=limit_s)
    path = parts.path + (found.row.check_path if found.row else _CHECK_PATH)
    try:
        connection.request("GET", path, headers=_headers(found))
        response = connection.getresponse()
        return response.status, response.getheader("Location", ""), response.read(_MAX_ANSWER_BYTES)
    finally:
        connection.close()


def _headers(found: Endpoint) -> dict[str, str]:
    target = Target(
        f"{found.name}/*", found.name, "*", found.dialects, found.base_url, kind=found.row.name if found.row else ""
    )
    given = [(name, value.reveal()) for name, value in found.config.headers.items()]
    signed = signer(target, found.secret.reveal() if found.secret else "", given).entrance(b"GET", b"", b"")(b"")
    lines = (line.partition(": ") for line in signed.decode("ascii").split("\r\n") if line)
    defaults = {name.decode(): value.decode() for name, value in default_headers(found.dialects[0])}
    return {"User-Agent": "trimaran", "Accept": "application/json", **defaults} | {
        name: rest for name, _, rest in lines
    }


def _judged(found: Endpoint, status: int, location: str, body: bytes, wanted: set[str]) -> tuple[str, str, str]:
    if 200 <= status < 300:
        return _accepted(body, wanted)
    if status in (401, 403) and found.secret is None:
        # Named as a variable that this provider's own clients might read.
        variable = re.sub(r"\W", "_", found.name).upper() + "_API_KEY"
        return (
            "rejected",
            f"it asks for a credential, and none is configured (status {status})",
            f"write providers.{found.name}.api_key: ${{{variable}}}",
        )
    # Google has its own mind about which status a key that is not valid is worth.
    if status in (401, 403) or (status == 400 and b"API_KEY_INVALID" in body):
        where = found.secret_from or f"providers.{found.name}.api_key"
        return "rejected", f"the credential was refused (status {status})", f"replace the key in {where}"
    if status == 404:
        return (
            "unclear",
            "reachable, but there is no list of models, so the credential was not checked",
            ("check base_url if requests fail; the path of the dialect is appended to it"),
        )
    if status == 429:
        return "ok", "reachable; it is limiting our requests right now (status 429)", ""
    if 300 <= status < 400:
        host = urlsplit(location).hostname or "another place"
        return "misconfigured", f"it redirects to {host}; redirects are not followed", "write that place as base_url"
    return "unclear", f"reachable, but it answered with status {status}", "try again; see the provider's status page"


def _accepted(body: bytes, wanted: set[str]) -> tuple[str, str, str]:
    listed = _listed(body)
    if listed is None:
        return "ok", "reachable, the credential works", ""
    missing = sorted(wanted - listed)
    if missing:
        names = ", ".join(quote(name) for name in missing)
        return (
            "ok",
            f"the credential works; {names} is not in its list of {len(listed)} models",
            ("check the spelling; some providers serve names that they do not list"),
        )
    return "ok", f"the credential works; {len(listed)} models", ""


def _listed(body: bytes) -> set[str] | None:
    try:
        answer = json.loads(body)
        if isinstance(answer, dict) and isinstance(answer.get("models"), list):
            # Google's.
            return {row["name"].removeprefix("models/") for row in answer["models"]}
        rows = answer["data"] if isinstance(answer, dict) else answer
        if isinstance(answer, dict) and answer.get("has_more"):
            return None
        return {row["id"] for row in rows if isinstance(row["id"], str)}
    except (ValueError, KeyError, TypeError):
        return None


def _fault(error: Exception, found: Endpoint, proxied: bool) -> tuple[str, str]:
    host = urlsplit(found.base_url).hostname
    todo = "HTTPS_PROXY is set, but proxies are not used; a direct way out is needed" if proxied else _NETWORK
    match error:
        case socket.gaierror():
            return f"the name {host} cannot be resolved", "check the spelling of base_url, and DNS"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}", (
                "if a company proxy intercepts TLS, point SSL_CERT_FILE at its certificate"
            )
        case ssl.SSLError():
            return "TLS failed", "is it http:// rather than https://?"
        case ConnectionRefusedError():
            return f"nothing listens at {host}", "start it, or check the port in base_url"
        case TimeoutError():
            return "no answer in time", todo
        case http.client.HTTPException() | ConnectionError():
            return "it closed the connection, or does not speak HTTP", "is it https:// rather than http://?"
        case _:
            return f"the connection failed ({type(error).__name__})", todo


def _finding(found: Endpoint, state: str, detail: str, todo: str, elapsed_s: float | None = None) -> Finding:
    credential = f"{found.secret_from} ({mask(found.secret.reveal())})" if found.secret else "none"
    return Finding(
        provider=found.name,
        state=state,
        detail=detail,
        todo=todo,
        tried=found.tried,
        credential=credential,
        base_url=found.base_url,
        elapsed_s=elapsed_s,
        warnings=found.warnings,
    )
