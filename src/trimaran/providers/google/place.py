"""Which project and which location are meant: read where Google's own tools read them, without asking anybody.

A location that nobody names is ``global``, as google-genai has it. A project that nobody names is the one of the key file of a
service account, or of gcloud's configuration; a machine of Google's knows its own, too, but would have to be asked.
"""

from __future__ import annotations

import configparser
import json
import os.path
import re
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = [
    "LOCATION",
    "PROJECT",
    "Named",
    "adc_file",
    "credentials_file",
    "gcloud_folder",
    "key_file",
    "location_of",
    "project_of",
    "service_host",
]

PROJECT = re.compile(r"(?:[a-z0-9.-]{1,60}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]{6,20}")
"""An id, with its domain where it has one, or a number (cloud.google.com, "Creating and managing projects", read 2026-11-30)."""
LOCATION = re.compile(r"global|us|eu|[a-z]+-[a-z]+[0-9]{1,2}")

PROJECT_VARIABLES = (
    "GOOGLE_CLOUD_PROJECT",
    "GCLOUD_PROJECT",
    "CLOUDSDK_CORE_PROJECT",
    "ANTHROPIC_VERTEX_PROJECT_ID",
)
LOCATION_VARIABLES = ("GOOGLE_CLOUD_LOCATION", "CLOUD_ML_REGION", "CLOUDSDK_AI_REGION")
"""google-genai's and the ADK's, Anthropic's Vertex client's, gcloud's (property ``ai/region``)."""

GLOBAL = "global"


class Named(msgspec.Struct, frozen=True):
    """A name and where it was read; ``name`` is empty where none was found."""

    name: str
    source: str
    tried: tuple[str, ...] = ()
    """Where it was looked for, in order."""


def project_of(configured: str, file: str, environ: Mapping[str, str], *, setting: str = "project") -> Named:
    """The project that is meant. ``configured`` is the provider's setting, ``setting`` what it is called for people; ``file`` holds
    its credentials, empty where it names none of its own."""
    if configured:
        return Named(configured, setting)
    tried = [setting]
    own = key_file(file).get("project_id") if file else None
    if own and isinstance(own, str):
        # Another account than the environment's is meant, with a project of its own.
        return Named(own, file, (*tried, file))
    for variable in PROJECT_VARIABLES:
        tried.append(variable)
        if text := environ.get(variable, "").strip():
            return Named(text, variable, tuple(tried))
    for path in (file or environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""),):
        told = key_file(path)
        if path:
            tried.append(path)
        if (named := told.get("project_id")) and isinstance(named, str):
            return Named(named, path, tuple(tried))
    place = "gcloud's configuration"
    tried.append(place)
    return Named(_gcloud_property("core", "project", environ), place, tuple(tried))


def location_of(configured: str, environ: Mapping[str, str], *, setting: str = "location") -> Named:
    """The location that is meant; ``global`` where nobody says."""
    if configured:
        return Named(configured, setting)
    tried = [setting]
    for variable in LOCATION_VARIABLES:
        tried.append(variable)
        if text := environ.get(variable, "").strip():
            return Named(text, variable, tuple(tried))
    place = "gcloud's configuration"
    tried.append(place)
    if text := _gcloud_property("ai", "region", environ):
        return Named(text, place, tuple(tried))
    return Named(GLOBAL, "default", tuple(tried))


def service_host(location: str) -> str:
    """Where Vertex AI is reached for a location: one host for the world, one for each part of it, one for each region.

    As google-genai 3.6.1 (``_api_client``) and anthropic 2.13.0 (``lib/vertex``) have it, read 2026-11-30."""
    if location == GLOBAL:
        return "aiplatform.googleapis.com"
    if location in ("us", "eu"):
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


def credentials_file(file: str, environ: Mapping[str, str]) -> str:
    """The file that holds the credentials: the provider's own, the environment's, or the one that gcloud writes where it exists;
    empty: there is none, and only a machine of Google's has others."""
    named = file or environ.get("GOOGLE_APPLICATION_CREDENTIALS", "").strip()
    if named:
        return os.path.expanduser(named)
    path = adc_file(environ)
    return path if os.path.isfile(path) else ""


def adc_file(environ: Mapping[str, str]) -> str:
    """Where ``gcloud auth application-default login`` writes."""
    return os.path.join(gcloud_folder(environ), "application_default_credentials.json")


def gcloud_folder(environ: Mapping[str, str]) -> str:
    """Where gcloud keeps its files."""
    return environ.get("CLOUDSDK_CONFIG", "") or os.path.join(
        environ.get("HOME", "") or os.path.expanduser("~"), ".config", "gcloud"
    )


def key_file(path: str) -> Mapping[str, Any]:
    """What a file of credentials says; empty where it cannot be read."""
    if not path:
        return {}
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _gcloud_property(section: str, name: str, environ: Mapping[str, str]) -> str:
    """A property of gcloud's active configuration; empty where there is none."""
    folder = gcloud_folder(environ)
    active = environ.get("CLOUDSDK_ACTIVE_CONFIG_NAME", "").strip()
    try:
        if not active:
            with open(os.path.join(folder, "active_config"), encoding="utf-8") as file:
                active = file.read(200).strip()
        parser = configparser.RawConfigParser(strict=False)
        with open(os.path.join(folder, "configurations", f"config_{active}"), encoding="utf-8") as file:
            parser.read_file(file)
        return parser.get(section, name, fallback="").strip()
    except (OSError, configparser.Error, UnicodeDecodeError):
        return ""
