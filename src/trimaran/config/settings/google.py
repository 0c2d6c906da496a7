"""Who the gateway acts as at Google Cloud, and where. These stand flat among a provider's settings: ``vertex: {project: my-project,
location: europe-west4}``. All are optional; left out, the credentials are looked for where each of Google's tools looks
(Application Default Credentials): a file that the environment names, gcloud's login, the machine's own account.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from trimaran.config.kinds import name, text
from trimaran.config.setting import Setting

__all__ = ["Audience", "CredentialsFile", "Impersonate", "Location", "Project"]

_PROJECT = r"(?:[a-z0-9.-]{1,60}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]{6,20}"
_LOCATION = r"global|us|eu|[a-z]+-[a-z]+[0-9]{1,2}"
_ACCOUNT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}@[A-Za-z0-9][A-Za-z0-9.-]{0,200}\.[a-z]{2,20}"

Project: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(_PROJECT, expected="the id of a Google Cloud project", example="my-project-123"),
        what="The project in which Vertex AI is asked (vertex only).",
        why="Permissions, quotas and the bill belong to a project.",
        reason="as Google's own tools do",
        default="GOOGLE_CLOUD_PROJECT, the project of the credentials file, or gcloud's",
    ),
]
Location: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(_LOCATION, expected="a location of Vertex AI", example="europe-west4"),
        what="Where Vertex AI computes: a region, `us`, `eu`, or `global` (vertex only; `region` means the same).",
        why="Data may have to stay in a part of the world; models and prices differ by region.",
        reason="google-genai has the same default; the global endpoint has every model and the most room",
        default="GOOGLE_CLOUD_LOCATION, else global",
    ),
]
Impersonate: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(
            _ACCOUNT,
            expected="the e-mail address of a service account",
            example="models@my-project-123.iam.gserviceaccount.com",
        ),
        what="A service account that is acted as with the credentials found (Google only).",
        why="A person's login, or another cloud's identity, may then do just what that account may.",
        reason="the credentials found are used as they are",
        default="none",
    ),
]
CredentialsFile: TypeAlias = Annotated[
    str,
    Setting(
        kind=text(1024, expected="the path of a file", example="/var/run/secrets/google/key.json"),
        what="The file that holds the credentials: a service account's key, or the way from another identity to Google's "
        "(Google only).",
        why="Several providers may act as different accounts.",
        reason="GOOGLE_APPLICATION_CREDENTIALS is read without it",
        default="Application Default Credentials",
    ),
]
Audience: TypeAlias = Annotated[
    str,
    Setting(
        kind=text(512, expected="an audience", example="https://my-service-abcdefghij-ew.a.run.app"),
        what="Whom identity tokens are for (cloud_run only).",
        why="A service behind a domain of one's own takes tokens for its Cloud Run URL, or for a custom audience.",
        reason="a service takes tokens for its own URL",
        default="the URL of base_url without its path",
    ),
]
