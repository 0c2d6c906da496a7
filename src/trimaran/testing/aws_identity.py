"""The places that hand out AWS credentials, simulated on loopback: an instance's metadata service (IMDSv2), a container's
endpoint (ECS and EKS Pod Identity), STS and the SSO portal.

botocore itself is the client: it is pointed here by the variables and files that it reads anyway
(:meth:`AwsIdentityServer.environ`, :meth:`AwsIdentityServer.write_profile`). Each credential that is given out is another one. Answers
follow botocore 1.44.8's service models (``sts``, ``sso``, ``sso-oidc``) and its metadata fetchers.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

__all__ = ["ACCOUNT", "ROLE", "AwsIdentityServer", "Issued", "Refused"]

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/simulated"
SSO_TOKEN = "simulated-sso-token"
POD_TOKEN = "simulated-pod-token"
_METADATA_TOKEN = "simulated-metadata-token"
_INSTANCE_ROLE = "simulated-instance-role"


class Issued(msgspec.Struct, frozen=True):
    """A credential that was given out. ``by``: ``instance``, ``container``, ``sso``, or STS's action."""

    by: str
    key_id: str
    secret: str
    token: str
    expires_s: float


class Refused(msgspec.Struct, frozen=True):
    """What is answered instead."""

    status: int = 403
    code: str = "AccessDenied"
    message: str = "simulated refusal"


class AwsIdentityServer:
    """Use it as a context manager. What it does may be changed while it runs, from any thread."""

    def __init__(self, *, life_s: float = 3600.0, on_issue: Callable[[Issued], None] = lambda _: None) -> None:
        self.life_s = life_s
        """How long credentials given out from now on live."""
        self.refusals: dict[str, Refused] = {}
        """By ``instance``, ``container``, ``sso`` or STS's action: what is answered instead of a credential."""
        self.issued: list[Issued] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Each request for a credential or an identity: its kind, and what it said."""
        self.clock_ahead_s = 0.0
        """How far its clock is ahead of this machine's."""
        self.gate = threading.Event()
        """While it is cleared, nothing is answered."""
        self.gate.set()
        self._on_issue = on_issue
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True

    def __enter__(self) -> AwsIdentityServer:
        # Polled often: a test waits for the end of the loop.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address, without a trailing slash."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environ(self, link: str, folder: Path) -> dict[str, str]:
        """The variables that lead an AWS client to one link of the chain: ``instance``, ``container``, ``pod``, ``web_identity``,
        or ``profile`` (with :meth:`write_profile`). Files go to ``folder``; nothing of the machine's own is read."""
        (folder / "token").write_text(POD_TOKEN)
        found = {
            "HOME": str(folder),
            "AWS_CONFIG_FILE": str(folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ENDPOINT_URL_SSO": self.url,
            "AWS_ENDPOINT_URL_SSO_OIDC": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if link == "instance":
            del found["AWS_EC2_METADATA_DISABLED"]
            found["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = self.url
        elif link in ("container", "pod"):
            found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{self.url}/container"
            if link == "pod":
                found["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(folder / "token")
        elif link == "web_identity":
            found |= {"AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token"), "AWS_ROLE_ARN": ROLE}
        return found

    def write_profile(self, folder: Path, text: str) -> None:
        """``~/.aws/config``."""
        (folder / "config").write_text(text)

    def log_in(self, cache: Path, start_url: str, *, expires_s: float | None = None) -> None:
        """What ``aws sso login`` leaves behind: a token in ``cache`` (``~/.aws/sso/cache``)."""
        cache.mkdir(parents=True, exist_ok=True)
        token = {
            "startUrl": start_url,
            "region": "us-east-1",
            "accessToken": SSO_TOKEN,
            "expiresAt": _moment(time.time() + 3600 if expires_s is None else expires_s),
        }
        (cache / f"{sha1(start_url.encode()).hexdigest()}.json").write_text(json.dumps(token))

    # What the handler asks

    def issue(self, by: str) -> Issued:
        """A new credential."""
        with self._lock:
            number = len(self.issued) + 1
            made = Issued(
                by,
                f"ASIASIMULATED{number:07d}",
                f"simulated-secret-{number}",
                f"simulated-token-{number}",
                time.time() + self.clock_ahead_s + self.life_s,
            )
            self.issued.append(made)
        self._on_issue(made)
        return made


class _Handler(BaseHTTPRequestHandler):
    owner: AwsIdentityServer
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        if self.path == "/latest/api/token":
            self._send(200, _METADATA_TOKEN, "text/plain")
        else:
            self._send(404, "", "text/plain")

    def do_GET(self) -> None:
        self.owner.gate.wait(30)
        path, _, query = self.path.partition("?")
        if path.startswith("/latest/"):
            self._instance(path)
        elif path == "/container":
            self._container()
        elif path == "/federation/credentials":
            self._sso({name: values[0] for name, values in parse_qs(query).items()})
        else:
            self._send(404, "", "text/plain")

    def do_POST(self) -> None:
        self.owner.gate.wait(30)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if urlsplit(self.path).path != "/":
            self._send(404, "", "text/plain")
            return
        self._sts({name: values[0] for name, values in parse_qs(body).items()})

    def _instance(self, path: str) -> None:
        if self.headers.get("x-aws-ec2-metadata-token") != _METADATA_TOKEN:
            self._send(401, "", "text/plain")
        elif path == "/latest/meta-data/placement/region":
            self._send(200, "us-east-1", "text/plain")
        elif path == "/latest/meta-data/iam/security-credentials/":
            self._send(200, _INSTANCE_ROLE, "text/plain")
        elif path == f"/latest/meta-data/iam/security-credentials/{_INSTANCE_ROLE}":
            if not self._refuses("instance", {}):
                self._send(200, json.dumps({"Code": "Success"} | _metadata(self.owner.issue("instance"))))
        else:
            self._send(404, "", "text/plain")

    def _container(self) -> None:
        if not self._refuses("container", {"Authorization": self.headers.get("Authorization", "")}):
            self._send(200, json.dumps(_metadata(self.owner.issue("container"))))

    def _sso(self, asked: dict[str, str]) -> None:
        if self.headers.get("x-amz-sso_bearer_token") != SSO_TOKEN:
            headers = {"x-amzn-ErrorType": "UnauthorizedException"}
            self._send(401, json.dumps({"message": "Session token not found or invalid"}), headers=headers)
        elif not self._refuses("sso", asked):
            made = self.owner.issue("sso")
            answer = {
                "accessKeyId": made.key_id,
                "secretAccessKey": made.secret,
                "sessionToken": made.token,
                "expiration": int(made.expires_s * 1000),
            }
            self._send(200, json.dumps({"roleCredentials": answer}))

    def _sts(self, asked: dict[str, str]) -> None:
        action = asked.get("Action", "")
        signed = self.headers.get("Authorization", "")
        said = asked | {"Authorization": signed, "Token": self.headers.get("X-Amz-Security-Token", "")}
        if self._refuses(action, said):
            return
        if action == "GetCallerIdentity":
            arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/simulated/trimaran"
            self._xml(action, f"<Arn>{arn}</Arn><UserId>AROASIMULATED:trimaran</UserId><Account>{ACCOUNT}</Account>")
        elif action in ("AssumeRole", "AssumeRoleWithWebIdentity"):
            made = self.owner.issue(action)
            self._xml(
                action,
                f"<Credentials><AccessKeyId>{made.key_id}</AccessKeyId><SecretAccessKey>{made.secret}</SecretAccessKey>"
                f"<SessionToken>{made.token}</SessionToken><Expiration>{_moment(made.expires_s)}</Expiration>"
                f"</Credentials><AssumedRoleUser><Arn>{asked.get('RoleArn', '')}</Arn>"
                "<AssumedRoleId>AROASIMULATED:trimaran</AssumedRoleId></AssumedRoleUser>",
            )
        else:
            self._fault(Refused(400, "InvalidAction", f"Could not find operation {action}"))

    def _refuses(self, kind: str, asked: dict[str, str]) -> bool:
        self.owner.asked.append((kind, asked))
        refusal = self.owner.refusals.get(kind)
        if refusal is not None:
            self._fault(refusal)
        return refusal is not None

    def _fault(self, refusal: Refused) -> None:
        self._send(
            refusal.status,
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            f"<Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error></ErrorResponse>",
            "text/xml",
        )

    def _xml(self, action: str, result: str) -> None:
        self._send(
            200,
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>{result}'
            f"</{action}Result><ResponseMetadata><RequestId>simulated</RequestId></ResponseMetadata></{action}Response>",
            "text/xml",
        )

    def _send(
        self, status: int, text: str, kind: str = "application/json", *, headers: Mapping[str, str] | None = None
    ) -> None:
        body = text.encode()
        self.send_response_only(status)
        self.send_header("Date", formatdate(time.time() + self.owner.clock_ahead_s, usegmt=True))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _metadata(made: Issued) -> dict[str, str]:
    return {
        "AccessKeyId": made.key_id,
        "SecretAccessKey": made.secret,
        "Token": made.token,
        "Expiration": _moment(made.expires_s),
    }


def _moment(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
