"""The ``openai`` SDK's clients that the suites of its dialects use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.suite import Session

__all__ = ["OpenAIClientSession"]


class OpenAIClientSession(Session):
    """An ``openai`` client. ``base_url`` ends with ``/v1``; the SDK's own retries are off.

    ``options`` go to the SDK's client, such as ``default_headers``.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        model: str = "gpt-4o-mini",
        asynchronous: bool = False,
        rename: Callable[[str], str] = str,
        **options: Any,
    ) -> None:
        import openai

        build = openai.AsyncOpenAI if asynchronous else openai.OpenAI
        options = {"base_url": base_url, "api_key": key, "max_retries": 0, "timeout": 20.0, **options}
        super().__init__(build, model=model, asynchronous=asynchronous, rename=rename, **options)

    def seen_error(self, method: Callable[..., Any], **fields: Any) -> tuple[dict[str, Any], None]:
        """What a failing call raised, as data: class and status, for a 4xx also the code."""
        error = self.failure(method, **fields)
        seen: dict[str, Any] = {"class": type(error).__name__}
        if (status := getattr(error, "status_code", None)) is not None and status < 500:
            seen |= {"status": status, "code": getattr(error, "code", None)}
        return seen, None
