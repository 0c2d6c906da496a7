"""The kinds of value that settings are made of, each with its bounds, its example and its JSON schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from trimaran.config.masking import closest, quote
from trimaran.config.reading import Path, Reader
from trimaran.config.setting import HeaderText, Scalar, SecretText
from trimaran.config.source import Node
from trimaran.config.units import (
    NANOS_PER_USD,
    PICOS_PER_USD,
    duration_text,
    money_text,
    parse_call_price,
    parse_duration,
    parse_money,
    parse_size,
    parse_token_price,
    size_text,
)
from trimaran.types import Secret

__all__ = [
    "ADDRESS",
    "CALL_PRICE",
    "DATABASE",
    "DATE",
    "DIGEST",
    "EXACT_NAME",
    "FLAG",
    "FOLDER",
    "HEADER",
    "MODEL_NAME",
    "MOMENT",
    "MONEY",
    "NAME",
    "PERCENT",
    "PROVIDER_NAME",
    "SECRET",
    "TAG",
    "TAG_VALUE",
    "TARGET",
    "TARGET_NAME",
    "TOKEN_PRICE",
    "URL",
    "OneOf",
    "count",
    "duration",
    "name",
    "size",
    "text",
    "weight",
]

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
PROVIDER_NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
EXACT_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}"
TAG_VALUE = NAME + r"=[^\x00-\x1f\x7f-\x9f]{1,256}"
MODEL_NAME = EXACT_NAME + r"|[a-z0-9][a-z0-9_-]{0,63}/\*"
TARGET_NAME = r"[a-z0-9][a-z0-9_-]{0,63}/(?:\*|[A-Za-z0-9@][A-Za-z0-9._:/@+-]{0,199})"

_DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")
_INTEGER = re.compile(r"[0-9]{1,15}")
_HOST = re.compile(r"\[?[A-Za-z0-9.:_-]{1,253}\]?")
_EPOCH = datetime(1970, 1, 1)
_MOMENT = re.compile(r"(?:19[7-9]|2[01][0-9])[0-9]-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z?)?")
_PERCENT = re.compile(r"[0-9]{1,3}%")
_QUERIED = re.compile(r"https?://[A-Za-z0-9.:-]{1,253}(?:/[A-Za-z0-9._~/-]{0,500})?")
_API_VERSION = re.compile(r"(?:^|&)api-version=([0-9A-Za-z-]{1,30})(?:&|$)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class OneOf(Scalar):
    """One of a few words. ``what`` says what they name: ``feature``."""

    def __init__(self, words: Iterable[str], *, what: str, example: str) -> None:
        self._words = tuple(words)
        self._what = what
        expected = f"one of {', '.join(self._words)}"
        super().__init__(str, expected=expected, example=example, schema={"enum": list(self._words)}, show=_shown)

    def read(self, node: Node, path: Path, reader: Reader) -> str:
        text, used = self.text(node, path, reader)
        if text not in self._words:
            # What came by reference may be a credential that was meant for another place.
            near = closest(text, self._words)
            shown = "" if used else f" {quote(text)}"
            meant = f"did you mean {near}? " if near else ""
            reader.fail(node, path, f"unknown {self._what}{shown}", f"{meant}Known: {', '.join(self._words)}")
        return text


class DatabaseUrl(SecretText):
    """A database's URL. It may stand in the file as long as it holds no password."""

    def __init__(self) -> None:
        super().__init__(expected="the URL of a database", example="postgresql://trimaran@db.example.com/trimaran")

    def read(self, node: Node, path: Path, reader: Reader) -> Secret:
        text, used = self.text(node, path, reader)
        # Whatever is wrong with it, its text is not shown: it may hold a password.
        if not text.startswith(("postgresql://", "postgres://")) or not text.isprintable() or " " in text:
            reader.fail(node, path, f"expected {self.expected}, postgresql://…", f"for example: {self.example}")
        try:
            parts = urlsplit(text)
            holds_password = parts.password is not None or "password" in parts.query
        except ValueError:
            reader.fail(node, path, f"expected {self.expected}, postgresql://…", f"for example: {self.example}")
        if holds_password and not used and not node.literal:
            reader.fail(
                node,
                path,
                "a password must not stand in the file",
                "write a reference to the whole URL: ${DATABASE_URL}, or ${file:/run/secrets/database-url}",
            )
        return Secret(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


def count(least: int, most: int, *, example: str) -> Scalar:
    """A whole number within bounds."""
    expected = f"a whole number from {least} to {most}"

    def parse(text: str) -> int:
        if _INTEGER.fullmatch(text) is None or not least <= int(text) <= most:
            raise ValueError(expected)
        return int(text)

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Scalar(parse, expected=expected, example=example, schema=schema)


def weight(most: int, *, example: str) -> Scalar:
    """A number from 0, with up to three decimals."""
    expected = f"a number from 0 to {most}, with up to three decimals"

    def parse(text: str) -> float:
        if _DECIMAL.fullmatch(text) is None or float(text) > most:
            raise ValueError(expected)
        return float(text)

    schema = {"type": "number", "minimum": 0, "maximum": most}
    return Scalar(parse, expected=expected, example=example, schema=schema, show=lambda value: f"{value:g}")


def duration(least: float, most: float, *, example: str) -> Scalar:
    """Seconds within bounds, written with a unit."""
    expected = f"a duration from {duration_text(least)} to {duration_text(most)}"

    def parse(text: str) -> float:
        seconds = parse_duration(text)
        if not least <= seconds <= most:
            raise ValueError(expected)
        return seconds

    schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|h|d)$"}
    return Scalar(parse, expected=expected, example=example, schema=schema, show=duration_text)


def size(least: int, most: int, *, example: str) -> Scalar:
    """Bytes within bounds, written with a unit."""
    expected = f"a size from {size_text(least)} to {size_text(most)}"

    def parse(text: str) -> int:
        value = parse_size(text)
        if not least <= value <= most:
            raise ValueError(expected)
        return value

    schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(B|kB|KB|KiB|MB|MiB|GB|GiB)$"}
    return Scalar(parse, expected=expected, example=example, schema=schema, show=size_text)


def name(pattern: str, *, expected: str, example: str) -> Scalar:
    """Text that matches a pattern as a whole."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(expected)
        return text

    return Scalar(parse, expected=expected, example=example, schema=_written(pattern), show=_shown)


def text(most: int, *, expected: str, example: str) -> Scalar:
    """Any printable text of limited length. Numbers and flags are taken as they are written."""

    def parse(text: str) -> str:
        if not 0 < len(text) <= most or not text.isprintable():
            raise ValueError(f"{expected}, of at most {most} printable characters")
        return text

    schema = {"type": ["string", "number", "boolean"]}
    return Scalar(parse, expected=expected, example=example, schema=schema, show=_shown)


def _written(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def _shown(value: str) -> str:
    return value or '""'


def _scalar(
    parse: Callable[[str], Any], expected: str, example: str, schema: dict[str, Any], show: Callable[[Any], str] = str
) -> Scalar:
    return Scalar(parse, expected=expected, example=example, schema=schema, show=show)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _address(text: str) -> str:
    if _HOST.fullmatch(text) is None:
        raise ValueError("an IP address or a host name")
    return text.strip("[]")


def _url(text: str) -> str:
    """An absolute http(s) URL without credentials, query or fragment; no trailing slash."""
    expected = "an http:// or https:// URL without credentials, query or fragment"
    if not text.isascii() or not text.isprintable() or any(c in text for c in " \\\"'<>?#@"):
        raise ValueError(expected + _without_query(text))
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or _HOST.fullmatch(parts.hostname) is None:
        raise ValueError(expected)
    if parts.port == 0:
        raise ValueError("a URL with a usable port")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _without_query(text: str) -> str:
    """What to write instead of a URL that was copied with its query; empty where that is not its problem. A query may hold a
    key, so nothing of it is shown but the version of an API."""
    before, found, query = text.partition("?")
    if not found or _QUERIED.fullmatch(before) is None:
        return ""
    version = _API_VERSION.search(query)
    beside = f", and api_version: {version[1]} beside it" if version else ""
    return f"; write {before}{beside}"


def _folder(text: str) -> str:
    if not text.isprintable() or not text.startswith(("/", "~/", "./", "../")):
        raise ValueError("a path that starts with /, ~/ or ./")
    return text


def _date(text: str) -> str:
    expected = "a date such as 2026-01-31"
    if _DATE.fullmatch(text) is None:
        raise ValueError(expected)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(expected) from None
    return text


def _moment(text: str) -> int:
    expected = "a date such as 2026-01-31, or a date and time of UTC such as 2026-01-31T18:00Z"
    if _MOMENT.fullmatch(text) is None:
        raise ValueError(expected)
    try:
        found = datetime.fromisoformat(text.replace(" ", "T").removesuffix("Z"))
        return (found - _EPOCH) // timedelta(seconds=1) * 10**9
    except ValueError:
        raise ValueError(expected) from None


def _moment_text(wall_ns: int) -> str:
    found = _EPOCH + timedelta(seconds=wall_ns // 10**9)
    return found.isoformat().removesuffix("T00:00:00") + ("" if found.time() == _EPOCH.time() else "Z")


def _percent(text: str) -> int:
    if _PERCENT.fullmatch(text) is None or not 1 <= int(text[:-1]) <= 100:
        raise ValueError("a whole percentage from 1% to 100%")
    return int(text[:-1])


def _digest(text: str) -> bytes:
    found = _DIGEST.fullmatch(text)
    if found is None:
        raise ValueError("sha256: and 64 lower-case hexadecimal digits")
    return bytes.fromhex(found[1])


def _at_most(parse: Callable[[str], int], most: int, expected: str) -> Callable[[str], int]:
    # Also keeps every sum of them far below 2**63, the largest number that travels and is stored.
    def bounded(text: str) -> int:
        value = parse(text)
        if value > most:
            raise ValueError(expected)
        return value

    return bounded


_AMOUNT = r"([0-9]+(\.[0-9]+)? ?USD|\$[0-9]+(\.[0-9]+)?)"

FLAG = _scalar(_flag, "true or false", "true", {"type": "boolean"}, lambda value: "true" if value else "false")
ADDRESS = _scalar(_address, "an IP address or a host name", "127.0.0.1", {"type": "string"})
URL = _scalar(_url, "an http:// or https:// URL", "https://llm.example.com", {"type": "string"}, _shown)
FOLDER = _scalar(_folder, "a path", "/var/lib/trimaran", {"type": "string"}, _shown)
DATE = _scalar(_date, "a date", "2026-01-31", {"type": "string", "pattern": f"^{_DATE.pattern}$"}, _shown)
MOMENT = _scalar(
    _moment,
    "a date, or a date and time of UTC",
    "2027-01-31",
    _written(_MOMENT.pattern),
    _moment_text,
)
PERCENT = _scalar(_percent, "a percentage", "80%", _written(_PERCENT.pattern), lambda value: f"{value}%")
DIGEST = _scalar(
    _digest,
    "a SHA-256 digest",
    "sha256:" + "0123456789abcdef" * 4,
    _written(_DIGEST.pattern),
    lambda value: "sha256:" + value.hex(),
)
MONEY = _scalar(
    _at_most(parse_money, 10**6 * NANOS_PER_USD, "an amount of at most 1000000 USD"),
    "an amount in USD",
    "0.05 USD",
    _written(_AMOUNT),
    lambda nanos: f"{money_text(nanos)} USD",
)
TOKEN_PRICE = _scalar(
    _at_most(parse_token_price, PICOS_PER_USD, "a price of at most 1 USD for one token"),
    "a price in USD for a number of tokens",
    "0.15 USD/1M",
    _written(_AMOUNT + r" ?/ ?(token|1[kK]|1M)"),
    lambda picos: f"{picos} pico-dollars",
)
CALL_PRICE = _scalar(
    _at_most(parse_call_price, 10 * PICOS_PER_USD, "a price of at most 10 USD for one call"),
    "a price in USD for a number of calls",
    "10 USD/1K",
    _written(_AMOUNT + r" ?/ ?(call|1[kK]|1M)"),
    lambda picos: f"{picos} pico-dollars",
)
DATABASE = DatabaseUrl()
SECRET = SecretText(expected="a reference to a credential", example='"${MY_API_KEY}"')
HEADER = HeaderText(expected="a header's value, or a reference to it", example='"${TEAM_TOKEN}"')
TAG = text(256, expected="text", example="platform")
TARGET = name(
    TARGET_NAME,
    expected="a target, written provider/model (or provider/* where every model of it is meant)",
    example="openai/gpt-4o-mini",
)
