"""The HTTP side of :mod:`~trimaran.testing.google_identity`: paths, headers, and how each service words a refusal."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import unquote

import msgspec

from trimaran.testing.dialect import HeadWriter, LookUp, Request, header
from trimaran.testing.exchange import Refusal
from trimaran.testing.google import CLOUD_PLATFORM, query_value
from trimaran.testing.google_errors import GoogleHead, GoogleRefusal, error_body, error_info, invalid
from trimaran.testing.google_identity import GoogleIdentity, OAuthError

__all__ = ["token_services"]

_IAM_SERVICE = "iamcredentials.googleapis.com"
_IAM = re.compile(
    rb"/v1/projects/-/serviceAccounts/(?P<email>[^/:]+):(?P<method>generateAccessToken|generateIdToken)\Z"
)
_METADATA = "/computeMetadata/v1/"
_ACCOUNT = re.compile(r"instance/service-accounts/(?P<who>[^/]+)/(?P<what>[a-z]*)\Z")
_METADATA_LINES = """\
metadata-flavor: Google
server: Metadata Server for VM
x-xss-protection: 0
x-frame-options: SAMEORIGIN"""
_TEXT, _JSON = b"application/text", b"application/json"
_DURATION = re.compile(r"(\d+)(?:\.\d+)?s\Z")


def token_services(identity: GoogleIdentity) -> list[LookUp]:
    """What answers. The metadata server is two: of JSON, and of text."""
    return [_Tokens(identity), _Credentials(identity), _Metadata(identity, text=False), _Metadata(identity, text=True)]


class _Service:
    """What they share."""

    name = ""

    def __init__(self, identity: GoogleIdentity) -> None:
        self.head: HeadWriter = GoogleHead(self.name)
        self.identity = identity

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """Nobody has to have a token to get one."""

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """OAuth's two members."""
        return msgspec.json.encode({"error": refusal.kind, "error_description": refusal.message})


class _Tokens(_Service):
    """``POST /token`` and ``POST /v1/token``."""

    name = "google.token"

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        return method == b"POST" and path in (b"/token", b"/v1/token")

    def look_up(self, request: Request) -> bytes:
        """Grant or exchange."""
        exchanged = request.target.partition(b"?")[0] == b"/v1/token"
        try:
            answer = self.identity.exchange(request.body) if exchanged else self.identity.grant(request.body)
        except OAuthError as error:
            raise Refusal(error.status, error.error, error.description) from None
        return msgspec.json.encode(answer)


class _Credentials(_Service):
    """``generateAccessToken`` and ``generateIdToken``."""

    name = "google.iam_credentials"

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        return method == b"POST" and _IAM.match(path) is not None

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """An access token that may do anything in the cloud, and a role on the account."""
        found = _IAM.match(request.target.partition(b"?")[0])
        assert found is not None
        rpc = "google.iam.credentials.v1.IAMCredentials." + found["method"].decode().replace("gen", "Gen", 1)
        cloud = self.identity.cloud
        cloud.admit(request, _IAM_SERVICE, rpc, keys, key_ok=False)
        access = found["method"] == b"generateAccessToken"
        permission = f"iam.serviceAccounts.get{'AccessToken' if access else 'OpenIdToken'}"
        if permission in cloud.denied:
            words = f"Permission '{permission}' denied on resource (or it may not exist)."
            details = error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", permission=permission)
            raise GoogleRefusal(403, words, details)

    def look_up(self, request: Request) -> bytes:
        """A token for the account that the path names."""
        found = _IAM.match(request.target.partition(b"?")[0])
        assert found is not None
        email = unquote(found["email"].decode("latin-1"))
        try:
            fields = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from None
        try:
            if found["method"] == b"generateIdToken":
                return msgspec.json.encode({"token": self._id_token(email, fields)})
            return msgspec.json.encode(self._access_token(email, fields))
        except OAuthError as error:
            raise GoogleRefusal(error.status, error.description) from None

    def _id_token(self, email: str, fields: dict[str, Any]) -> str:
        if not fields.get("audience"):
            raise invalid("Request contains an invalid argument: audience is required.")
        return self.identity.give_id_token(email, str(fields["audience"]))

    def _access_token(self, email: str, fields: dict[str, Any]) -> dict[str, str]:
        scopes = fields.get("scope")
        if not scopes or not isinstance(scopes, list):
            raise invalid("Request contains an invalid argument: scope is required.")
        wanted = _DURATION.match(str(fields.get("lifetime") or "3600s"))
        if wanted is None or int(wanted[1]) > 43_200:
            raise invalid("Request contains an invalid argument: lifetime.")
        life = self.identity.lifetimes_s.get("impersonation", float(wanted[1]))
        token = self.identity.give("impersonation", email, tuple(map(str, scopes)), life)
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(token.expires_at_s))
        return {"accessToken": token.value, "expireTime": ends}

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Google's."""
        return error_body(refusal)


class _Metadata(_Service):
    """The metadata server: ``text`` or JSON."""

    name = "google.metadata"

    def __init__(self, identity: GoogleIdentity, *, text: bool) -> None:
        super().__init__(identity)
        self._text = text
        self.head = GoogleHead(self.name, _METADATA_LINES, _TEXT if text else _JSON)

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path; the root is what a client pings."""
        if method != b"GET" or self.identity.metadata_account is None:
            return False
        name = path.decode("latin-1")
        if name == "/" or name == "/computeMetadata/v1":
            return self._text
        if not name.startswith(_METADATA):
            return False
        found = _ACCOUNT.match(name.removeprefix(_METADATA))
        return (found is None or found["what"] not in ("token", "")) == self._text

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """The header that no browser sends by itself."""
        if header(request.headers, b"metadata-flavor") != b"Google":
            raise Refusal(403, "", "Missing required header: Metadata-Flavor")
        if header(request.headers, b"x-forwarded-for") is not None:
            raise Refusal(403, "", "X-Forwarded-For is not allowed")

    def look_up(self, request: Request) -> bytes:
        """One value."""
        identity = self.identity
        name = request.target.partition(b"?")[0].decode("latin-1").removeprefix(_METADATA)
        try:
            if (found := _ACCOUNT.match(name)) is not None:
                return self._account(request, unquote(found["who"]), found["what"])
        except OAuthError as error:
            raise Refusal(error.status, error.error, error.description) from None
        plain = {
            "/": "computeMetadata/",
            "/computeMetadata/v1": "instance/\nproject/\n",
            "": "instance/\nproject/\nuniverse/\n",
            "project/project-id": identity.metadata_project,
            "project/numeric-project-id": identity.cloud.number(identity.metadata_project),
            "instance/region": f"projects/{identity.cloud.number(identity.metadata_project)}/regions/us-central1",
            "instance/zone": f"projects/{identity.cloud.number(identity.metadata_project)}/zones/us-central1-a",
            "instance/service-accounts/": f"default/\n{identity.metadata_account}/\n",
            "universe/universe-domain": "googleapis.com",
            "universe/universe_domain": "googleapis.com",
        }
        if name not in plain:
            raise Refusal(404, "", "The requested URL was not found on this server.")
        return plain[name].encode()

    def _account(self, request: Request, who: str, what: str) -> bytes:
        identity = self.identity
        email = identity.metadata_account or ""
        if who not in ("default", email):
            raise Refusal(404, "", f"The requested service account {who} is not attached to this machine.")
        if what == "token":
            asked = query_value(request.target, "scopes")
            token = identity.machine_token(tuple(asked.split(",")) if asked else identity.metadata_scopes)
            answer = {"access_token": token.value, "expires_in": identity.left_s(token), "token_type": "Bearer"}
            return msgspec.json.encode(answer)
        if what == "identity":
            audience = query_value(request.target, "audience")
            if not audience:
                raise Refusal(400, "", "non-empty audience parameter required")
            return identity.give_id_token(email, audience).encode()
        if what == "email":
            return email.encode()
        if what == "scopes":
            return "\n".join(identity.metadata_scopes or (CLOUD_PLATFORM,)).encode()
        if what == "":
            row = {"aliases": ["default"], "email": email, "scopes": list(identity.metadata_scopes)}
            return msgspec.json.encode(row)
        raise Refusal(404, "", "The requested URL was not found on this server.")

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Text."""
        return refusal.message.encode()
