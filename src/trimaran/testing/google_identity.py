"""Google's token services as simulated ones, so that each link of Application Default Credentials can be walked on one port.

- ``POST /token``: the OAuth token service; grants for service accounts (a signed JWT), for users (a refresh token), and identity tokens.
- ``/computeMetadata/v1/…``: the metadata server of Compute Engine, GKE and Cloud Run. It wants ``Metadata-Flavor: Google``, and
  gives the same access token again until five minutes before its end.
- ``POST /v1/token``: the security token service of workload identity federation.
- ``POST /v1/projects/-/serviceAccounts/{email}:generateAccessToken`` and ``:generateIdToken``: impersonation.

What is issued is known to the :class:`~trimaran.testing.google.GoogleCloud` at once. Lifetimes are settings, and every link can be made
to fail. Nothing here is a secret. ``google-auth`` is the judge; shapes follow what it sends and reads, and cloud.google.com ("OAuth
2.0 for server to server applications", "View and query VM metadata", "Obtain short-lived tokens for Workload Identity Federation"),
read 2026-11-30.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qs

import msgspec

from trimaran.testing.google import CLOUD_PLATFORM, PROJECT, GoogleCloud, GoogleToken
from trimaran.testing.jwt import read_jwt, unsigned_jwt, verified

__all__ = ["LINKS", "GoogleIdentity", "IdentityFailure", "Link", "OAuthError", "ServiceAccount"]

Link = Literal["service_account", "user", "metadata", "federation", "impersonation", "id_token"]
"""Where a token comes from; identity tokens of every link are ``id_token``."""
LINKS: tuple[Link, ...] = get_args(Link)

DEFAULT_ACCOUNT = f"simulated@{PROJECT}.iam.gserviceaccount.com"
_ISSUER = "https://accounts.google.com"
_FRESH_S = 300.0
_LONGEST_S = 3_600
_SKEW_S = 300


class OAuthError(Exception):
    """``{"error": …, "error_description": …}``."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description


class IdentityFailure(msgspec.Struct):
    """A link that fails: ``count`` times, or until it is taken away (``None``)."""

    status: int = 503
    error: str = "internal_failure"
    description: str = "Simulated failure."
    count: int | None = None


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A service account with one key. ``public_key`` is PEM; empty: any signature will do."""

    email: str = DEFAULT_ACCOUNT
    key_id: str = "0000000000000000000000000000000000000000"
    public_key: str = ""


class GoogleIdentity:
    """State of the token services. It may be changed while the provider runs.

    ``lifetimes_s`` by link, ``lifetime_s`` for the others. ``failures`` by link. ``refresh_tokens`` maps refresh tokens to users,
    ``clients`` OAuth clients to their secrets (``None``: any will do). ``subjects`` maps subject tokens of federation to principals
    (``None``: any), ``audiences`` are the workload identity pools' providers (``None``: any). ``metadata_account``: who this machine
    is; ``None``: there is no metadata server.
    """

    def __init__(
        self,
        cloud: GoogleCloud,
        *,
        service_accounts: Iterable[ServiceAccount] = (),
        metadata_account: str | None = DEFAULT_ACCOUNT,
        lifetime_s: float = 3_599.0,
    ) -> None:
        self.cloud = cloud
        self.accounts = {account.email: account for account in service_accounts}
        self.refresh_tokens: dict[str, str] | None = None
        self.clients: dict[str, str] | None = None
        self.subjects: dict[str, str] | None = None
        self.audiences: set[str] | None = None
        self.metadata_account = metadata_account
        self.metadata_project = PROJECT
        self.metadata_scopes: tuple[str, ...] = (CLOUD_PLATFORM,)
        self.lifetime_s = lifetime_s
        self.lifetimes_s: dict[Link, float] = {}
        self.failures: dict[Link, IdentityFailure] = {}
        self.issued: list[tuple[Link, str, str]] = []
        """Link, account and token, in order."""
        self.id_tokens: dict[str, dict[str, Any]] = {}
        """Claims of the identity tokens given out."""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._machine: dict[tuple[str, ...], GoogleToken] = {}

    def new_service_account(self, base_url: str, email: str = DEFAULT_ACCOUNT) -> dict[str, Any]:
        """Make an account with a key of its own, and the contents of its key file. Needs ``cryptography``, which ``google-auth``
        brings."""
        try:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import rsa
        except ImportError as error:
            raise RuntimeError("a service account's key needs `pip install 'trimaran[google]'`") from error
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        account = ServiceAccount(email=email, key_id=f"{next(self._numbers):040x}", public_key=public.decode())
        self.accounts[email] = account
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": account.key_id,
            "private_key": private.decode(),
            "client_email": email,
            "client_id": "100000000000000000000",
            "token_uri": f"{base_url}/token",
            "universe_domain": "googleapis.com",
        }

    # Giving out

    def fail(self, link: Link) -> None:
        """Raise what this link is made to fail with, if it is."""
        with self._lock:
            failure = self.failures.get(link)
            if failure is None or failure.count == 0:
                return
            if failure.count is not None:
                failure.count -= 1
        raise OAuthError(failure.status, failure.error, failure.description)

    def give(self, link: Link, email: str, scopes: tuple[str, ...], lifetime_s: float | None = None) -> GoogleToken:
        """A new access token."""
        self.fail(link)
        life = self.lifetimes_s.get(link, self.lifetime_s) if lifetime_s is None else lifetime_s
        value = f"ya29.simulated-{link}-{next(self._numbers)}"
        token = GoogleToken(value=value, email=email, scopes=scopes, expires_at_s=self.cloud.now() + life)
        self.cloud.issued[value] = token
        self.issued.append((link, email, value))
        return token

    def left_s(self, token: GoogleToken) -> int:
        """Seconds until a token ends."""
        return max(0, round((token.expires_at_s or 0.0) - self.cloud.now()))

    def give_id_token(self, email: str, audience: str) -> str:
        """A new identity token: a JWT whose signature is none."""
        self.fail("id_token")
        now = int(self.cloud.now())
        claims = {
            "aud": audience,
            "azp": email,
            "email": email,
            "email_verified": True,
            "exp": now + int(self.lifetimes_s.get("id_token", self.lifetime_s)),
            "iat": now,
            "iss": _ISSUER,
            "sub": "100000000000000000000",
            "jti": str(next(self._numbers)),
        }
        token = unsigned_jwt(claims)
        self.id_tokens[token] = claims
        self.issued.append(("id_token", email, token))
        return token

    # Grants

    def grant(self, body: bytes) -> dict[str, Any]:
        """The answer of ``POST /token``. Raises :class:`OAuthError`."""
        form = _form(body)
        kind = form.get("grant_type", "")
        if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._grant_service_account(form)
        if kind == "refresh_token":
            return self._grant_user(form)
        raise OAuthError(400, "unsupported_grant_type", f"Invalid grant_type: {kind}")

    def _grant_service_account(self, form: dict[str, str]) -> dict[str, Any]:
        claims = self._claims(form.get("assertion", ""))
        email = str(claims["iss"])
        audience, scope = claims.get("target_audience"), str(claims.get("scope", ""))
        if audience:
            return {"id_token": self.give_id_token(email, str(audience))}
        if not scope:
            raise OAuthError(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        token = self.give("service_account", email, tuple(scope.split()))
        return {"access_token": token.value, "expires_in": self.left_s(token), "token_type": "Bearer"}

    def _claims(self, assertion: str) -> dict[str, Any]:
        """What a signed JWT says, checked. Raises :class:`OAuthError`."""
        try:
            token = read_jwt(assertion)
        except ValueError:
            raise OAuthError(400, "invalid_grant", "Invalid JWT: Failed to parse the JWT.") from None
        header, claims = token.header, token.claims
        account = self.accounts.get(str(claims.get("iss")))
        if account is None:
            raise OAuthError(400, "invalid_grant", "Invalid grant: account not found")
        if header.get("alg") != "RS256" or header.get("kid", account.key_id) != account.key_id:
            raise OAuthError(400, "invalid_grant", "Invalid JWT Signature.")
        if account.public_key and not verified(account.public_key, token):
            raise OAuthError(400, "invalid_grant", "Invalid JWT Signature.")
        if not str(claims.get("aud", "")).endswith("/token"):
            raise OAuthError(400, "invalid_grant", "Invalid JWT: audience is not the token endpoint.")
        issued, ends, now = claims.get("iat"), claims.get("exp"), self.cloud.now()
        times = isinstance(issued, int) and isinstance(ends, int)
        if not times or not _reasonable(cast(int, issued), cast(int, ends), now):
            words = (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and "
                "exp values in the JWT claim."
            )
            raise OAuthError(400, "invalid_grant", words)
        return claims

    def _grant_user(self, form: dict[str, str]) -> dict[str, Any]:
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        if not client or (self.clients is not None and self.clients.get(client) != secret):
            raise OAuthError(401, "invalid_client", "The OAuth client was not found.")
        token = form.get("refresh_token", "")
        known = self.refresh_tokens
        if not token or (known is not None and token not in known):
            raise OAuthError(400, "invalid_grant", "Token has been expired or revoked.")
        email = known[token] if known is not None else "user@example.com"
        scopes = tuple(form["scope"].split()) if form.get("scope") else (CLOUD_PLATFORM,)
        given = self.give("user", email, scopes)
        return {
            "access_token": given.value,
            "expires_in": self.left_s(given),
            "scope": " ".join(scopes),
            "token_type": "Bearer",
            "id_token": self.give_id_token(email, client),
        }

    def exchange(self, body: bytes) -> dict[str, Any]:
        """The answer of ``POST /v1/token``. Raises :class:`OAuthError`."""
        form = _form(body)
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange":
            raise OAuthError(400, "unsupported_grant_type", "Grant type must be token exchange.")
        for name in ("audience", "subject_token", "subject_token_type", "requested_token_type"):
            if not form.get(name):
                raise OAuthError(400, "invalid_request", f"Invalid value for '{name}'. Value cannot be null or empty.")
        if self.audiences is not None and form["audience"] not in self.audiences:
            raise OAuthError(
                400,
                "invalid_target",
                f'The target service indicated by the "audience" parameters is invalid: {form["audience"]}. This might either '
                "be because the pool or provider is disabled or deleted or because it doesn't exist.",
            )
        subject = form["subject_token"]
        if self.subjects is not None and subject not in self.subjects:
            raise OAuthError(400, "invalid_grant", "ID Token issued at an unknown issuer, or its signature is wrong.")
        principal = self.subjects[subject] if self.subjects is not None else "principal://simulated/subject"
        token = self.give("federation", principal, tuple(form.get("scope", CLOUD_PLATFORM).split()))
        return {
            "access_token": token.value,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": self.left_s(token),
        }

    # The metadata server

    def machine_token(self, scopes: tuple[str, ...]) -> GoogleToken:
        """This machine's access token: the old one while it is good for more than five minutes."""
        old = self._machine.get(scopes)
        if old is not None and (old.expires_at_s or 0.0) - self.cloud.now() > _FRESH_S:
            self.fail("metadata")
            return old
        token = self.give("metadata", self.metadata_account or "", scopes)
        self._machine[scopes] = token
        return token


def _reasonable(issued: int, ends: int, now: float) -> bool:
    return issued - _SKEW_S <= now < ends + _SKEW_S and 0 < ends - issued <= _LONGEST_S


def _form(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
