"""Servers of your own behind a provider's name: what they cost by the hour."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import DATE, MONEY, OneOf, count, text
from trimaran.config.setting import Setting

__all__ = ["PURCHASE_OPTIONS", "CapacityConfig", "HourlyConfig"]

PURCHASE_OPTIONS = ("on_demand", "spot", "committed_1y", "committed_3y")


class HourlyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What something that stands ready costs by the hour, and how it was bought."""

    hourly_nanos: Annotated[
        int | None,
        Setting(
            kind=MONEY,
            what="What one of them costs in an hour, instalments of earlier payments included.",
            why="`trimaran spend` divides it among the requests, and shows what was idle.",
            unit="USD",
            reason="a price is never guessed; without it the pool is unknown, not free",
            default="unknown",
        ),
    ] = None
    amortised_hourly_nanos: Annotated[
        int,
        Setting(
            kind=MONEY,
            what="The part of `hourly` that was paid earlier (hardware, a commitment paid up front), spread over its term.",
            why="It is no new invoice, and shown apart.",
            unit="USD",
            reason="rented servers are paid as they run",
        ),
    ] = 0
    purchase_option: Annotated[
        str,
        Setting(
            kind=OneOf(PURCHASE_OPTIONS, what="purchase option", example="on_demand"),
            what="How it is bought.",
            why="Spend is compared by it.",
            reason="most servers are rented without a commitment",
        ),
    ] = "on_demand"
    source: Annotated[
        str,
        Setting(
            kind=text(200, expected="where the price comes from", example="invoice 2026-10"),
            what="Where the price comes from; written to the ledger.",
            why="A bill that is disputed a year later needs its source.",
            reason="the file itself is the source",
        ),
    ] = "configuration"
    as_of: Annotated[
        str,
        Setting(
            kind=DATE,
            what="When the price was read; written to the ledger.",
            why="Prices change.",
            unit="date",
            reason="not every price is dated",
            default="none",
        ),
    ] = ""


class CapacityConfig(HourlyConfig, frozen=True, kw_only=True):
    """Replicas that stand ready behind a provider, whether they are asked or not."""

    replicas: Annotated[
        int,
        Setting(
            kind=count(0, 100_000, example="2"),
            what="How many replicas stand ready. Change it when they change; the file is read again.",
            why="They cost by the hour, busy or idle.",
            reason="one server is the least that answers",
        ),
    ] = 1
    offer: Annotated[
        str,
        Setting(
            kind=text(100, expected="the name of an offer", example="p5.48xlarge"),
            what="What is rented for one replica.",
            why="It is written to the ledger with the price.",
            reason="servers of your own have no such name",
            default="none",
        ),
    ] = ""
    platform: Annotated[
        str,
        Setting(
            kind=text(100, expected="a platform's name", example="eks"),
            what="Where it runs.",
            why="Spend is grouped by it.",
            reason="it can run anywhere",
            default="none",
        ),
    ] = ""
    region: Annotated[
        str,
        Setting(
            kind=text(100, expected="a region's name", example="us-east-1"),
            what="In which region it runs.",
            why="Spend is grouped by it.",
            reason="a provider's region is that of its servers",
            default="the provider's region",
        ),
    ] = ""
