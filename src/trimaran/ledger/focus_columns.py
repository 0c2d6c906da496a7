"""One row of FOCUS 1.2: which columns there are, and what stands in each, by kind of charge.

Source of columns and rules: github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec, tag v1.2. Amounts are exact decimals
without exponents, made from integers; ``None`` is an empty cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

import msgspec

from trimaran.ledger.capacity import Kind
from trimaran.ledger.moments import DAY_NS
from trimaran.ledger.periods import window
from trimaran.types import TokenPrice

__all__ = [
    "ADJUSTED",
    "FOCUS_COLUMNS",
    "FOCUS_VERSION",
    "PICO",
    "Line",
    "Payer",
    "Row",
    "adjustment_of",
    "base_of",
    "capacity_of",
    "usage_of",
]

FOCUS_VERSION = "1.2"

FOCUS_COLUMNS = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_Estimated",
    "x_KeyId",
    "x_Simulated",
    "x_Target",
)
"""Of the specification in the order of the alphabet, then our own. ``AvailabilityZone``, capacity reservations and the
columns of a second currency are left out: nothing here has them."""

Row = dict[str, str | None]

_DECIMALS = 21
"""Of amounts in this module: whole numbers of 1e-21 dollars, so that hours with twelve decimals times a price in
nano-dollars stay exact."""
_NANO = 10 ** (_DECIMALS - 9)
PICO = 10 ** (_DECIMALS - 12)
_HOUR_DECIMALS = 12
_PER_PRICE = 10**6
_TOKENS = "input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "output", "reasoning", "audio_output"


class Payer(NamedTuple):
    """Who pays for what on a day: one group of rows."""

    day: int
    provider: str
    target: str
    tenant: str
    key_id: str
    tags: tuple[tuple[str, str], ...]
    estimated: bool
    simulated: bool


class Line(NamedTuple):
    """One charge within a group."""

    kind: str
    picos: int
    version: str
    service_tier: str
    above_input_tokens: int


def base_of(payer: Payer) -> Row:
    start, end, month, month_end = _periods(payer.day)
    return {
        "BillingAccountId": payer.provider,
        "BillingAccountType": "Provider",
        "BillingCurrency": "USD",
        "BillingPeriodStart": month,
        "BillingPeriodEnd": month_end,
        "ChargePeriodStart": start,
        "ChargePeriodEnd": end,
        "ChargeFrequency": "Usage-Based",
        "InvoiceIssuerName": payer.provider,
        "ProviderName": payer.provider,
        "PublisherName": payer.provider,
        "ServiceName": f"{payer.provider} inference",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": payer.tenant or None,
        "SubAccountName": payer.tenant or None,
        "SubAccountType": "Tenant" if payer.tenant else None,
        "Tags": msgspec.json.encode(dict(payer.tags)).decode() if payer.tags else None,
        "x_Estimated": "true" if payer.estimated else "false",
        "x_KeyId": payer.key_id or None,
        "x_Simulated": "true" if payer.simulated else "false",
        "x_Target": payer.target or None,
    }


def _costs(billed: int, effective: int) -> Row:
    return {
        "BilledCost": _decimal(billed),
        "EffectiveCost": _decimal(effective),
        "ListCost": _decimal(effective),
        "ContractedCost": _decimal(effective),
    }


def usage_of(payer: Payer, line: Line, quantity: int, price: TokenPrice) -> Row:
    tokens = line.kind in _TOKENS
    unit = "Requests" if line.kind == "request" else "Searches"
    cost = quantity * line.picos * PICO
    sku = "/".join(part for part in (payer.target, line.kind, line.service_tier) if part)
    step = f"#above-{line.above_input_tokens}" if line.above_input_tokens else ""
    unit_price = _decimal(line.picos * PICO * (_PER_PRICE if tokens else 1))
    meter = line.kind.replace("_", " ") + (" tokens" if tokens else "")
    return {
        **_costs(cost, cost),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{meter} of {payer.target}",
        "ConsumedQuantity": str(quantity),
        "ConsumedUnit": "Tokens" if tokens else unit,
        "ContractedUnitPrice": unit_price,
        "ListUnitPrice": unit_price,
        "PricingCategory": "Standard",
        "PricingQuantity": _decimal(quantity, 6) if tokens else str(quantity),
        "PricingUnit": f"{_PER_PRICE} Tokens" if tokens else unit,
        "SkuId": sku,
        "SkuMeter": meter,
        "SkuPriceDetails": _details(x_PriceSource=price.source, x_PriceDate=price.as_of, x_PriceVersion=line.version),
        "SkuPriceId": f"{sku}@{line.version}{step}",
    }


ADJUSTED = "rounding of each attempt to whole nano-dollars, and what its recorded price does not itemise"
_ROUNDED = "rounding of a share of capacity"


def adjustment_of(payer: Payer, why: str, amount: int) -> Row:
    return {
        **_costs(amount, amount),
        "ChargeCategory": "Adjustment",
        "ChargeDescription": f"{why}: {payer.target or payer.provider}",
    }


_PRICING = {"on_demand": "Standard", "spot": "Dynamic"}


def capacity_of(payer: Payer, pool: str, kind: Kind, used: bool, nanos: int, amortised: int) -> Iterator[Row]:
    """A share of a pool's capacity in replica-hours at its price, and what rounding the hours up added."""
    assert kind.hourly_nanos
    scale = 10**_HOUR_DECIMALS
    hours = -(-nanos * scale // kind.hourly_nanos)
    charged = hours * kind.hourly_nanos * 10 ** (_DECIMALS - _HOUR_DECIMALS - 9)
    hourly, quantity = _decimal(kind.hourly_nanos * _NANO), _decimal(hours, _HOUR_DECIMALS)
    committed = kind.purchase_option not in _PRICING
    consumed = used or not committed
    sku = "/".join(part for part in (pool, kind.platform, kind.region, kind.offer or "replica") if part)
    row: Row = {
        **_costs(charged - amortised * _NANO, charged),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{'share' if used else 'idle part'} of the pool {pool}, {kind.purchase_option}",
        "ConsumedQuantity": quantity if consumed else None,
        "ConsumedUnit": "Replica-Hours" if consumed else None,
        "ContractedUnitPrice": hourly,
        "ListUnitPrice": hourly,
        "PricingCategory": _PRICING.get(kind.purchase_option, "Committed"),
        "PricingQuantity": quantity,
        "PricingUnit": "Replica-Hours",
        "RegionId": kind.region or None,
        "RegionName": kind.region or None,
        "ResourceId": pool,
        "ResourceName": pool,
        "ResourceType": kind.offer or "replica",
        "ServiceCategory": "Compute",
        "ServiceName": f"{pool} capacity",
        "ServiceSubcategory": "Other (Compute)",
        "SkuId": sku,
        "SkuMeter": "replica time",
        "SkuPriceDetails": _details(x_PriceSource=kind.source, x_PriceDate=kind.as_of, x_Platform=kind.platform),
        "SkuPriceId": f"{sku}/{kind.purchase_option}@{kind.hourly_nanos}",
    }
    if committed:
        commitment = f"{pool}/{kind.purchase_option}"
        row |= {
            "CommitmentDiscountCategory": "Usage",
            "CommitmentDiscountId": commitment,
            "CommitmentDiscountName": commitment,
            "CommitmentDiscountQuantity": quantity,
            "CommitmentDiscountStatus": "Used" if used else "Unused",
            "CommitmentDiscountType": kind.purchase_option,
            "CommitmentDiscountUnit": "Replica-Hours",
        }
    yield row
    if charged > nanos * _NANO:
        yield adjustment_of(payer, _ROUNDED, nanos * _NANO - charged)


def _details(**properties: str) -> str | None:
    stated = {name: value for name, value in properties.items() if value}
    return msgspec.json.encode(stated).decode() if stated else None


@cache
def _periods(day: int) -> tuple[str, str, str, str]:
    """Start and end of the day and of its month."""
    month, month_end = window("month", day * DAY_NS)
    return _time(day * DAY_NS), _time((day + 1) * DAY_NS), _time(month), _time(month_end)


def _time(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _decimal(amount: int, decimals: int = _DECIMALS) -> str:
    """``amount`` x 10^-``decimals``, in full: no exponent, no trailing zero."""
    whole, rest = divmod(abs(amount), 10**decimals)
    text = f"{whole}.{rest:0{decimals}d}".rstrip("0").rstrip(".")
    return f"-{text}" if amount < 0 else text
