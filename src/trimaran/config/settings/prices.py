"""What models cost, where the catalogue does not know it or you pay something else."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import CALL_PRICE, DATE, MONEY, TOKEN_PRICE, text
from trimaran.config.setting import Group, Setting

__all__ = ["SERVICES", "PriceConfig", "TokenPricesConfig"]


SERVICES = ("flex", "priority", "batch", "fast")
"""The service tiers with prices of their own, and the fields that hold them."""


class TokenPricesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of tokens by kind."""

    input_picos: Annotated[
        int,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens.",
            why="Attempts are billed and bounded with it.",
            unit="USD for a number of tokens",
            reason="a price is never guessed",
        ),
    ]
    output_picos: Annotated[
        int,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of output tokens, reasoning included.",
            why="Attempts are billed and bounded with it.",
            unit="USD for a number of tokens",
            reason="a price is never guessed",
        ),
    ]
    cached_read_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens read from the provider's cache.",
            why="Cached input is usually much cheaper.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of input",
        ),
    ] = None
    cache_write_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens written to the provider's cache.",
            why="Some providers charge more for them than for other input.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of input",
        ),
    ] = None
    cache_write_1h_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens written to a cache that lives for an hour.",
            why="Some providers charge more for the longer life.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of cache_write",
        ),
    ] = None
    reasoning_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of output tokens spent on reasoning.",
            why="A few providers charge another price for them.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of output",
        ),
    ] = None
    audio_input_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens that are audio, cached ones included.",
            why="Audio usually costs several times what text costs.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of input",
        ),
    ] = None
    audio_output_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of output tokens that are audio.",
            why="Audio usually costs several times what text costs.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of output",
        ),
    ] = None


def _service(name: str) -> Group:
    return Group(
        TokenPricesConfig,
        expected=f"the prices of tokens served as {name}",
        example="{input: 0.10 USD/1M, output: 0.40 USD/1M}",
    )


class PriceConfig(TokenPricesConfig, frozen=True, kw_only=True):
    """What one model costs at one provider, where the catalogue does not know it or you pay something else."""

    flex: Annotated[
        TokenPricesConfig | None,
        Setting(
            kind=_service("flex"),
            what="Prices of answers that may take longer (OpenAI's service tier `flex`).",
            why="Flex answers cost less than others.",
            reason="an attempt that was served by a tier without a known price has an unknown cost",
            default="none",
        ),
    ] = None
    priority: Annotated[
        TokenPricesConfig | None,
        Setting(
            kind=_service("priority"),
            what="Prices of answers served with priority (OpenAI's service tiers `priority` and `fast`).",
            why="Priority costs more, and an account can have it as its default.",
            reason="an attempt that was served by a tier without a known price has an unknown cost",
            default="none",
        ),
    ] = None
    batch: Annotated[
        TokenPricesConfig | None,
        Setting(
            kind=_service("batch"),
            what="Prices of answers that a batch has brought.",
            why="Batches cost less.",
            reason="an attempt that was served by a tier without a known price has an unknown cost",
            default="none",
        ),
    ] = None
    fast: Annotated[
        TokenPricesConfig | None,
        Setting(
            kind=_service("fast"),
            what="Prices of Anthropic's fast mode (`speed: fast`).",
            why="Fast mode costs several times as much.",
            reason="an attempt that was served by a tier without a known price has an unknown cost",
            default="none",
        ),
    ] = None
    web_search_picos: Annotated[
        int | None,
        Setting(
            kind=CALL_PRICE,
            what="Price of each search that the provider runs on the web, on top of its tokens.",
            why="Searches are charged one by one.",
            unit="USD for a number of calls",
            reason="an attempt with searches of unknown price has an unknown cost",
            default="unknown",
        ),
    ] = None
    file_search_picos: Annotated[
        int | None,
        Setting(
            kind=CALL_PRICE,
            what="Price of each search in files that the provider keeps, on top of its tokens.",
            why="Searches are charged one by one.",
            unit="USD for a number of calls",
            reason="an attempt with searches of unknown price has an unknown cost",
            default="unknown",
        ),
    ] = None
    request_nanos: Annotated[
        int,
        Setting(
            kind=MONEY,
            what="Price of each request, on top of its tokens.",
            why="Some providers charge for the request itself.",
            unit="USD",
            reason="few providers do",
        ),
    ] = 0
    source: Annotated[
        str,
        Setting(
            kind=text(200, expected="where the price comes from", example="contract 2026-014"),
            what="Where the price comes from; written to the ledger.",
            why="A bill that is disputed a year later needs its source.",
            reason="the file itself is the source",
        ),
    ] = "configuration"
    as_of: Annotated[
        str,
        Setting(
            kind=DATE,
            what="When the price was read; written to the ledger as part of the price version.",
            why="Prices change, and old rows must say which one they used.",
            unit="date",
            reason="without a date, a digest of the figures stands for the version",
        ),
    ] = ""
    from_: Annotated[
        str,
        Setting(
            kind=DATE,
            what="The day from which it holds, from midnight UTC; until then an earlier version holds, or the catalogue.",
            why="A new price can be written down when it is announced, and holds when it begins without a restart.",
            unit="date",
            reason="most prices hold already",
            default="since ever",
        ),
    ] = ""
