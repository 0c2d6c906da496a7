"""Every setting, declared once: the structs a configuration is read into, one module for each section.

Settings are few on purpose. A new one needs a user who cannot do without it, and a reason for its default that a reader
would accept. Names in values (providers, strategies, dialects) are not checked here: this room knows shapes, and those
registries live above it; whoever resolves a name asks :meth:`Config.where` for its line.
"""

from __future__ import annotations

from trimaran.config.settings.accounts import AccountConfig, AlertsConfig
from trimaran.config.settings.azure import DeploymentConfig, OnlineEndpointConfig
from trimaran.config.settings.capabilities import CapabilitiesConfig
from trimaran.config.settings.capacity import CapacityConfig, HourlyConfig
from trimaran.config.settings.keys import KeyConfig
from trimaran.config.settings.ledger import LedgerConfig
from trimaran.config.settings.limits import LimitsConfig
from trimaran.config.settings.model import ModelConfig
from trimaran.config.settings.prices import SERVICES, PriceConfig, TokenPricesConfig
from trimaran.config.settings.provider import ProviderConfig
from trimaran.config.settings.root import Config
from trimaran.config.settings.sagemaker import EndpointCapacityConfig, EndpointConfig
from trimaran.config.settings.server import ServerConfig

__all__ = [
    "SERVICES",
    "AccountConfig",
    "AlertsConfig",
    "CapabilitiesConfig",
    "CapacityConfig",
    "Config",
    "DeploymentConfig",
    "EndpointCapacityConfig",
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
]
