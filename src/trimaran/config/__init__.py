"""Configuration: each setting declared once, read from YAML, environment and command line, checked for shape.

    settings       what there is: one annotated field for each setting
    setting        how a setting is declared; how groups, tables and lists are read and described
    reading        what a kind of value needs while it is read
    kinds, units   durations, sizes, money, prices, names, URLs, credentials
    allowances     how much in which period; webhook: where to post
    source         text to nodes that know their line; interpolation: ${NAME} in values
    loader, checks from nodes to a Config, every problem at once
    reference      the reference page and the JSON schema, from the same declarations

Names (providers, strategies, dialects) are resolved by the rooms above; they ask :meth:`Config.where` for the line.
"""

from __future__ import annotations

from trimaran.config.allowances import Budget, parse_budget
from trimaran.config.checks import CLIENT_KEY_VARIABLE, is_loopback
from trimaran.config.loader import combined, environment_name, find_file, load, load_mapping, load_text, overridable
from trimaran.config.masking import closest, quote
from trimaran.config.reading import dotted
from trimaran.config.settings import (
    SERVICES,
    AccountConfig,
    AlertsConfig,
    CapabilitiesConfig,
    Config,
    DeploymentConfig,
    EndpointConfig,
    HourlyConfig,
    KeyConfig,
    LedgerConfig,
    LimitsConfig,
    ModelConfig,
    OnlineEndpointConfig,
    PriceConfig,
    ProviderConfig,
    ServerConfig,
    TokenPricesConfig,
)

__all__ = [
    "CLIENT_KEY_VARIABLE",
    "SERVICES",
    "AccountConfig",
    "AlertsConfig",
    "Budget",
    "CapabilitiesConfig",
    "Config",
    "DeploymentConfig",
    "EndpointConfig",
    "HourlyConfig",
    "KeyConfig",
    "LedgerConfig",
    "LimitsConfig",
    "ModelConfig",
    "OnlineEndpointConfig",
    "PriceConfig",
    "ProviderConfig",
    "ServerConfig",
    "TokenPricesConfig",
    "closest",
    "combined",
    "dotted",
    "environment_name",
    "find_file",
    "is_loopback",
    "load",
    "load_mapping",
    "load_text",
    "overridable",
    "parse_budget",
    "quote",
]
