"""Signatures: AWS's own published cases, and whatever botocore signs."""

from __future__ import annotations

import calendar
import datetime
import json
from pathlib import Path
from random import Random
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from trimaran.providers.aws.sigv4 import SignedRequest, amz_date, signing_key

_SUITE = json.loads(Path(__file__).with_name("sigv4_cases.json").read_text("utf-8"))
_SUITE_TIME = calendar.timegm((2015, 8, 30, 12, 36, 0))

_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
_TOKEN = "FwoGZXIvYXdzEBYaD//EXAMPLE+TOKEN=="


def _headers(lines: bytes) -> dict[str, str]:
    assert lines.endswith(b"\r\n")
    return dict(line.split(": ", 1) for line in lines.decode("ascii")[:-2].split("\r\n"))  # type: ignore[misc]


@pytest.mark.parametrize("case", _SUITE["cases"], ids=lambda case: case["name"])
def test_a_published_case_has_its_published_signature(case: dict[str, Any]) -> None:
    signed = SignedRequest(
        case["method"].encode(),
        case["path"].encode(),
        case.get("query", "").encode(),
        [(name.encode(), value.encode()) for name, value in case["headers"]],
        region="us-east-1",
        service="service",
    )
    token = case.get("token", "")
    lines = signed.lines(_SUITE["key_id"], _SUITE["secret"], token, case.get("body", "").encode(), _SUITE_TIME)
    assert _headers(lines) == {
        "x-amz-date": "20150830T123600Z",
        **({"x-amz-security-token": token} if token else {}),
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={case['signed']}, Signature={case['signature']}",
    }


def _by_botocore(request: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    query = f"?{request['query']}" if request["query"] else ""
    aws = AWSRequest(
        method=request["method"],
        url=f"https://{request['host']}{request['path']}{query}",
        data=request["body"],
        headers={"host": request["host"], **request["headers"]},
    )
    moment = datetime.datetime.fromtimestamp(request["now_s"], datetime.UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    credentials = Credentials(request["key_id"], request["secret"], request["token"] or None)
    botocore.auth.SigV4Auth(credentials, request["service"], request["region"]).add_auth(aws)
    ours = ("x-amz-date", "x-amz-security-token", "authorization")
    return {name.lower(): value for name, value in aws.headers.items() if name.lower() in ours}


def _by_us(request: dict[str, Any]) -> dict[str, str]:
    headers = [("host", request["host"]), *request["headers"].items()]
    signed = SignedRequest(
        request["method"].encode(),
        request["path"].encode(),
        request["query"].encode(),
        [(name.encode(), value.encode()) for name, value in headers],
        region=request["region"],
        service=request["service"],
    )
    lines = signed.lines(request["key_id"], request["secret"], request["token"], request["body"], request["now_s"])
    return _headers(lines)


_PIECES = (
    "model", "anthropic.claude-3-5-sonnet-20241022-v2%3A0", "converse-stream", "a%20b", "%2F", "~x", "a+b", "é", "ሴ", "",
    ".", "..", "...", "a;b", "a=b", "%25", "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fx", "a:b",
    "a@b", "$", "'", "(1)", "!", "*", ",", "&",
)  # fmt: skip
_QUERIES = ("a=1", "b=%20", "a=0", "c", "=x", "a=b=c", "Z=1", "z=~", "list-type=2", "k=%E1%88%B4", "p=a%2Bb", "q=-._~")
_NAMES = (
    "Content-Type", "Accept", "User-Agent", "X-Amzn-SageMaker-Target-Variant", "X-Amzn-Trace-Id", "X-Amz-A", "X-Amz-Target",
    "x-amz-e", "X-Amz-Security", "x-amzn-bedrock-trace", "Connection", "Transfer-Encoding", "zeta",
)  # fmt: skip
_VALUES = ("application/json", "  two   words ", "a,b", "Größe", "x" * 300, "1", "tab\there", "日本")


def _random_request(random: Random) -> dict[str, Any]:
    pieces = [random.choice(_PIECES) for _ in range(random.randrange(6))]
    return {
        "method": random.choice(("GET", "POST", "PUT", "post")),
        "host": random.choice(("bedrock-runtime.us-east-1.amazonaws.com", "127.0.0.1:4566", "x.example:8443")),
        "path": "/" + "/".join(pieces) + random.choice(("", "/")),
        "query": "&".join(random.sample(_QUERIES, random.randrange(5))),
        "headers": {name: random.choice(_VALUES) for name in random.sample(_NAMES, random.randrange(len(_NAMES)))},
        "body": random.choice((b"", b"{}", random.randbytes(random.randrange(4096)), "{'é': 'ሴ'}".encode())),
        "token": random.choice(("", _TOKEN, "t" * 1500)),
        "key_id": random.choice((_KEY_ID, "ASIAIOSFODNN7EXAMPLE")),
        "secret": random.choice((_SECRET, "k" * 40)),
        "region": random.choice(("us-east-1", "eu-central-1", "us-gov-west-1", "ap-southeast-2")),
        "service": random.choice(("bedrock", "sagemaker", "sts", "execute-api")),
        "now_s": random.randrange(1_000_000_000, 4_000_000_000),
    }


def test_a_thousand_random_requests_are_signed_as_botocore_signs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(20261130)
    for _ in range(1000):
        request = _random_request(random)
        assert _by_us(request) == _by_botocore(request, monkeypatch), request


_PATH = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="?# "), max_size=40)


@given(path=_PATH, body=st.binary(max_size=200), now_s=st.integers(0, 4_000_000_000))
def test_any_path_is_signed_as_botocore_signs_it(path: str, body: bytes, now_s: int) -> None:
    request = _random_request(Random(1)) | {"path": f"/{path}", "body": body, "now_s": now_s}
    with pytest.MonkeyPatch.context() as patch:
        assert _by_us(request) == _by_botocore(request, patch)


def test_one_prepared_request_signs_many(monkeypatch: pytest.MonkeyPatch) -> None:
    base = _random_request(Random(7)) | {"token": ""}
    signed = SignedRequest(
        base["method"].encode(), base["path"].encode(), base["query"].encode(),
        [(b"host", base["host"].encode()), *((n.encode(), v.encode()) for n, v in base["headers"].items())],
        region=base["region"], service=base["service"],
    )  # fmt: skip
    for number in range(5):
        # Another day each time, another body, and a token for every other one.
        request = base | {
            "body": b"%d" % number,
            "token": _TOKEN * (number % 2),
            "now_s": base["now_s"] + 86_400 * number,
        }
        lines = signed.lines(request["key_id"], request["secret"], request["token"], request["body"], request["now_s"])
        assert _headers(lines) == _by_botocore(request, monkeypatch)


def test_what_the_signer_adds_is_not_taken_from_the_caller() -> None:
    request = _random_request(Random(3)) | {"headers": {}}
    stale = {"X-Amz-Date": "20000101T000000Z", "Authorization": "Bearer x", "X-Amz-Security-Token": "old"}
    assert _by_us(request | {"headers": stale}) == _by_us(request)


def test_the_key_is_derived_once_for_each_day() -> None:
    signing_key.cache_clear()
    request = _random_request(Random(5)) | {"now_s": 1_700_000_000}
    for _ in range(10):
        _by_us(request)
    assert signing_key.cache_info().misses == 1
    _by_us(request | {"now_s": 1_700_000_000 + 86_400})
    assert signing_key.cache_info().misses == 2


def test_repr_shows_no_secret() -> None:
    signed = SignedRequest(b"POST", b"/", b"", [(b"x-team-token", b"hush")], region="us-east-1", service="bedrock")
    assert "hush" not in repr(signed)


def test_dates_are_utc() -> None:
    assert amz_date(0) == b"19700101T000000Z"
