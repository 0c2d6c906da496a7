"""Trimaran: routes, plans, deploys, scales and bills language model serving on three clouds.

Importing the package does no work: the library's names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimaran.dispatch.blocking import MultiCloudRouter, Router
    from trimaran.dispatch.library import AsyncRouter
    from trimaran.dispatch.result import Result

__all__ = ["AsyncRouter", "MultiCloudRouter", "Result", "Router", "__version__"]

__version__ = "0.1.0"

_HOME = {
    "AsyncRouter": "trimaran.dispatch.library",
    "MultiCloudRouter": "trimaran.dispatch.blocking",
    "Result": "trimaran.dispatch.result",
    "Router": "trimaran.dispatch.blocking",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'trimaran' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
