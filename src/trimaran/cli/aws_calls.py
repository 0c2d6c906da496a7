"""The few calls to AWS's own APIs that ``trimaran doctor`` makes: signed by the gateway's signer, without botocore, each
within what is left of one deadline. They read and cost nothing.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from trimaran.config import is_loopback
from trimaran.providers import Endpoint
from trimaran.providers.aws.access import at_region
from trimaran.providers.aws.sigv4 import SignedRequest
from trimaran.types import Credential

__all__ = ["AwsCaller", "AwsSaid", "Caller"]

_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_URLS = {
    "bedrock": "https://bedrock.{region}.amazonaws.com",
    "sagemaker": "https://api.sagemaker.{region}.amazonaws.com",
    "sts": "https://sts.{region}.amazonaws.com",
}
"""Of the control planes (botocore 1.44.8, ``endpoints.json``)."""


class Caller(msgspec.Struct, frozen=True):
    """Who STS says we are."""

    account: str
    arn: str


class AwsSaid(Exception):
    """AWS refused a call."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code)
        self.code = code
        self.words = words


class AwsCaller:
    """Calls as one provider does. ``credential`` is ``None`` where an API key authenticates it."""

    def __init__(
        self, found: Endpoint, credential: Credential | None, environ: Mapping[str, str], limit_s: float
    ) -> None:
        self._found = found
        self._credential = credential
        self._environ = environ
        self._end = time.monotonic() + limit_s
        self.skew_s = 0.0
        """How far AWS's clock is ahead of this machine's, as of the last answer."""

    def who(self) -> Caller:
        """GetCallerIdentity: needs no permission."""
        body = b"Action=GetCallerIdentity&Version=2011-06-15"
        text = self._call(
            "sts", "POST", "/", body, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        )
        return Caller(_element(text, "Account"), _element(text, "Arn"))

    def foundation_models(self) -> dict[str, list[str]]:
        """By model id: how it may be invoked (``ON_DEMAND``, ``INFERENCE_PROFILE``, …)."""
        rows = self._json("bedrock", "GET", "/foundation-models").get("modelSummaries", [])
        return {row["modelId"]: row.get("inferenceTypesSupported", []) for row in rows}

    def inference_profiles(self) -> dict[str, str]:
        """By id and ARN: the profile's status."""
        found: dict[str, str] = {}
        token = ""
        while True:
            more = f"&nextToken={quote(token, safe='')}" if token else ""
            page = self._json("bedrock", "GET", f"/inference-profiles?maxResults=1000{more}")
            for row in page.get("inferenceProfileSummaries", []):
                found[row["inferenceProfileId"]] = found[row["inferenceProfileArn"]] = row.get("status", "")
            token = page.get("nextToken") or ""
            if not token:
                return found

    def availability(self, model: str) -> dict[str, str]:
        """Of a foundation model: ``agreement``, ``authorization``, ``entitlement`` and ``region``, each with its status."""
        said = self._json("bedrock", "GET", f"/foundation-model-availability/{quote(model, safe='-._~')}")
        return {
            "agreement": said.get("agreementAvailability", {}).get("status", ""),
            "authorization": said.get("authorizationStatus", ""),
            "entitlement": said.get("entitlementAvailability", ""),
            "region": said.get("regionAvailability", ""),
        }

    def endpoints(self) -> dict[str, str]:
        """By name: the state of each SageMaker endpoint."""
        found: dict[str, str] = {}
        token = ""
        while True:
            page = self.sagemaker("ListEndpoints", {"MaxResults": 100, **({"NextToken": token} if token else {})})
            found |= {row["EndpointName"]: row["EndpointStatus"] for row in page.get("Endpoints", [])}
            token = page.get("NextToken") or ""
            if not token:
                return found

    def describe_endpoint(self, name: str) -> dict[str, Any]:
        """DescribeEndpoint."""
        return self.sagemaker("DescribeEndpoint", {"EndpointName": name})

    def sagemaker(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One operation of SageMaker's control plane."""
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"SageMaker.{operation}"}
        return self._json("sagemaker", "POST", "/", json.dumps(parameters).encode(), headers)

    def _json(
        self, service: str, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._call(service, method, target, body, headers or {}))
        return found

    def _call(self, service: str, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> str:
        """The body of a 200. Raises :class:`AwsSaid`, and what ``http.client`` raises."""
        parts = urlsplit(self.url(service))
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        port = parts.port or (443 if parts.scheme == "https" else 80)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", port, timeout=left_s)
        sent = {"Host": parts.netloc, "User-Agent": "trimaran", **headers}
        try:
            whole = parts.path.rstrip("/") + target
            connection.request(method, whole, body or None, sent | self._signed(service, method, whole, body, sent))
            response = connection.getresponse()
            text = response.read(_MAX_ANSWER_BYTES).decode("utf-8", "replace")
        finally:
            connection.close()
        self._note_date(response.getheader("Date", ""))
        if response.status != 200:
            raise _refusal(response.getheader("x-amzn-errortype", ""), response.status, text)
        return text

    def url(self, service: str) -> str:
        """Where a service is called: what the environment says, then the simulation that stands for the provider, then AWS."""
        for variable in (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL"):
            if self._environ.get(variable):
                return self._environ[variable].rstrip("/")
        own = self._found.base_url
        row = self._found.row
        if row is not None and service == row.aws_service and is_loopback(urlsplit(own).hostname or ""):
            return own
        return at_region(_URLS[service], self._found.config.region or "")

    def _signed(
        self, service: str, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, str]:
        if self._credential is None:
            key = self._found.secret
            return {"Authorization": f"Bearer {key.reveal()}"} if key is not None else {}
        path, _, query = target.partition("?")
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = SignedRequest(
            method.encode(),
            path.encode(),
            query.encode(),
            pairs,
            region=self._found.config.region or "",
            service=service,
        )
        key_id, secret, token = self._credential.parts
        lines = request.lines(key_id, secret, token, body, int(time.time())).decode("ascii")
        return {name: value for name, _, value in (line.partition(": ") for line in lines.split("\r\n") if line)}

    def _note_date(self, text: str) -> None:
        try:
            self.skew_s = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return


def _refusal(kind: str, status: int, text: str) -> AwsSaid:
    """An error in one of the three ways in which AWS writes it: a header, JSON, XML."""
    code, words = kind.partition(":")[0], ""
    try:
        said = json.loads(text)
        code = code or str(said.get("__type", "")).rpartition("#")[2]
        words = str(said.get("message") or said.get("Message") or "")
    except (ValueError, AttributeError):
        code, words = code or _element(text, "Code"), _element(text, "Message")
    return AwsSaid(code or f"status {status}", " ".join(words.split())[:300])


def _element(text: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return found[1] if found is not None else ""
