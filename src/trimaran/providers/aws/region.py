"""Which AWS region is meant, and which profile: read where the AWS CLI reads it, without asking anybody and without botocore.

A profile of the configuration comes before the environment's, as everywhere: what is written for one provider is meant for it.
"""

from __future__ import annotations

import configparser
import os.path
import re
from collections.abc import Mapping

import msgspec

__all__ = ["CONFIG_FILE", "Region", "config_file", "profile_named", "profile_settings", "region_of"]

CONFIG_FILE = "~/.aws/config"
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}")

REGION_HINT = "export AWS_REGION=us-east-1, or write region: us-east-1 for the provider"


class Region(msgspec.Struct, frozen=True):
    """A region and where it was read; ``name`` is empty where none was found."""

    name: str
    source: str
    tried: tuple[str, ...] = ()
    """Where it was looked for, in order."""

    @property
    def plausible(self) -> bool:
        """Whether it looks like a region's name: ``us-east-1``, ``us-gov-west-1``."""
        return _REGION.fullmatch(self.name) is not None


def region_of(configured: str, profile: str, environ: Mapping[str, str], *, setting: str = "region") -> Region:
    """The region that is meant. ``configured`` and ``profile`` are the provider's settings, empty where it has none;
    ``setting`` is what the first is called for people."""
    if configured:
        return Region(configured, setting)
    tried = [setting]
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        tried.append(variable)
        text = environ.get(variable, "").strip()
        if text:
            return Region(text, variable, tuple(tried))
    name = profile_named(profile, environ)
    place = f"profile {name} in {config_file(environ)}"
    tried.append(place)
    return Region(profile_settings(name, environ).get("region", "").strip(), place, tuple(tried))


def profile_named(profile: str, environ: Mapping[str, str]) -> str:
    """The profile in use: the provider's own, else the environment's, else ``default``."""
    # In botocore's order (1.44.8, BOTOCORE_DEFAUT_SESSION_VARIABLES).
    return profile or environ.get("AWS_DEFAULT_PROFILE", "") or environ.get("AWS_PROFILE", "") or "default"


def config_file(environ: Mapping[str, str]) -> str:
    """Where the AWS CLI keeps profiles, as a person would write it."""
    return environ.get("AWS_CONFIG_FILE", "") or CONFIG_FILE


def profile_settings(profile: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """A profile's settings in that file; empty where it has none, or the file cannot be read."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        with open(os.path.expanduser(config_file(environ)), encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, configparser.Error, UnicodeDecodeError):
        return {}
    for section in ("default",) if profile == "default" else (f"profile {profile}",):
        if parser.has_section(section):
            return dict(parser.items(section))
    return {}
