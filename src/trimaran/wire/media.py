"""Binary content inside JSON: base64 texts and ``data:`` URLs.

Content stays text all the way: it is checked once, never decoded into another form, and never fetched.
"""

from __future__ import annotations

import binascii

from trimaran.errors import InvalidRequest

__all__ = ["checked_base64", "data_url", "is_web_url", "split_data_url"]


def checked_base64(data: str, path: str) -> str:
    """``data`` itself. Raises :class:`InvalidRequest` naming ``path`` when it is not base64, or empty."""
    try:
        binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise InvalidRequest(f"{path!r} is not valid base64: {error}", field=path) from error
    if not data:
        raise InvalidRequest(f"{path!r} is empty", field=path)
    return data


def split_data_url(url: str, path: str) -> tuple[str, str]:
    """Media type and base64 of a ``data:`` URL. Raises :class:`InvalidRequest` for one that is not base64."""
    head, comma, data = url.partition(",")
    media_type, *options = head.removeprefix("data:").split(";")
    if not comma or not url.startswith("data:") or options[-1:] != ["base64"]:
        raise InvalidRequest(f"{path!r} must be a data URL such as data:image/png;base64,...", field=path)
    return media_type.lower(), checked_base64(data, path)


def data_url(media_type: str, data: str) -> str:
    """The ``data:`` URL of base64 ``data``."""
    return f"data:{media_type};base64,{data}"


def is_web_url(url: str) -> bool:
    """Whether a URL is one that a provider may fetch."""
    return url.lower().startswith(("https://", "http://"))
