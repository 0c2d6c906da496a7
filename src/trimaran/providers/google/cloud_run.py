"""The door to a service of Cloud Run: a container of one's own that takes OpenAI's form, behind an identity token.

The service is reached like any server; what is its own are its refusals. Google's front end answers in HTML or a line of text: 401
for a token of another audience, 403 for an account that may not call the service, 404 for a URL without a service, 429 and
503 where no instance is to be had.

Sources: cloud.google.com/run, "Authenticating service-to-service", "Troubleshoot Cloud Run issues", read 2026-11-30.
"""

from __future__ import annotations

from trimaran.errors import AttemptError, CredentialRejected, Overloaded, RateLimited, TargetNotFound
from trimaran.providers.door import Door, Headers

__all__ = ["CloudRunDoor"]


class CloudRunDoor(Door):
    """What Google's front end says before the container is asked."""

    def refusal(self, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        kind = headers.get(b"content-type", b"")
        if kind.startswith(b"application/json"):
            # The container's own.
            return None
        url = self.target.base_url
        match status:
            case 401:
                return CredentialRejected(
                    f"the service at {url} refused the identity token (401): its audience must be the service's own URL or a "
                    "custom audience of it; write audience where base_url is another domain",
                    upstream_status=status,
                )
            case 403:
                return CredentialRejected(
                    f"the account may not call the service at {url} (403): `gcloud run services add-iam-policy-binding SERVICE "
                    "--member=serviceAccount:... --role=roles/run.invoker`; or the service takes requests from inside the "
                    "network only (its ingress setting)",
                    upstream_status=status,
                )
            case 404:
                return TargetNotFound(
                    f"there is no service at {url}, or it has no such path (404): `gcloud run services list` shows URLs",
                    upstream_status=status,
                )
            case 429:
                return RateLimited(
                    f"Cloud Run has no instance free for {url} (429): raise its maximum of instances",
                    upstream_status=status,
                )
            case 503:
                return Overloaded(
                    f"no instance of the service at {url} could be started (503): see its logs",
                    upstream_status=status,
                )
        return None
