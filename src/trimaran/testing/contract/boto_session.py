"""A ``boto3`` client as the contract suites use it: no retries, credentials that say nothing, one port for everything."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.suite import Session

__all__ = ["SECRET_KEY", "BotoSession"]

SECRET_KEY = "simulated-secret-key"
"""Signs every request of the suites. Whoever checks signatures must know it beside the access key."""
_REGION = "us-east-1"


class BotoSession(Session):
    """A client of one AWS service. ``base_url`` is its endpoint, ``key`` the access key id, which is how a client of
    AWS's says who it is; boto3 has no asynchronous client, so ``asynchronous`` changes nothing.

    ``options`` go to the client, such as ``region_name`` or ``aws_secret_access_key``.
    """

    service = ""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        model: str = "",
        asynchronous: bool = False,
        rename: Callable[[str], str] = str,
        **options: Any,
    ) -> None:
        options = {"endpoint_url": base_url, "api_key": key, **options}
        build = functools.partial(_client, self.service)
        super().__init__(build, model=model, asynchronous=False, rename=rename, **options)

    def unchecked(self) -> Any:
        """A client that sends what it is given, for a ``with`` block."""
        return self.borrowed(parameter_validation=False)


@functools.cache
def _sdk() -> Any:
    """One session for all: it has read the service's description, which takes longer than anything else here."""
    try:
        import boto3
    except ImportError as error:
        raise RuntimeError("boto3 judges this dialect: pip install 'trimaran[aws]'") from error
    return boto3.session.Session()


def _client(service: str, *, api_key: str, timeout: float = 20.0, **options: Any) -> Any:
    from botocore.config import Config

    # A signature version in code keeps an API key of the environment out.
    config = Config(
        retries={"max_attempts": 0},
        signature_version="v4",
        connect_timeout=timeout,
        read_timeout=timeout,
        parameter_validation=options.pop("parameter_validation", True),
        proxies={},
    )
    access = {"aws_access_key_id": api_key, "aws_secret_access_key": SECRET_KEY, "region_name": _REGION}
    return _sdk().client(service, config=config, **(access | options))
