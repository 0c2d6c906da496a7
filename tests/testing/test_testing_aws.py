"""Who may call the simulated AWS: botocore's signer is the judge of the check, and the check of every change to a request."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing import AwsAccount, AwsCredential, SimulatedProvider
from trimaran.testing.aws import AwsRefusal, signed_region
from trimaran.testing.contract import BedrockSession
from trimaran.testing.contract.boto_session import SECRET_KEY
from trimaran.testing.dialect import Request

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzE=="
KNOWN = AwsCredential(access_key=KEY, secret_key=SECRET)
TEMPORARY = AwsCredential(access_key=KEY, secret_key=SECRET, session_token=TOKEN, expires_at_s=4e9)


def signed(
    path="/model/a/converse",
    body=b"{}",
    query="",
    headers=None,
    secret=SECRET,
    token=None,
    region="us-east-1",
    service="bedrock",
):
    """A request as botocore signs and a client sends it."""
    url = f"http://127.0.0.1:4010{path}{'?' + query if query else ''}"
    made = AWSRequest("POST", url, data=body, headers=headers or {})
    SigV4Auth(Credentials(KEY, secret, token), service, region).add_auth(made)
    sent = [(name.lower().encode(), value.encode()) for name, value in made.headers.items()]
    target = url.removeprefix("http://127.0.0.1:4010").encode()
    return Request(b"POST", target, [(b"host", b"127.0.0.1:4010"), *sent], body, True)


def refused(account, request, keys=None):
    with pytest.raises(AwsRefusal) as caught:
        account.admit(request, "bedrock", keys)
    assert caught.value.status == 403
    return caught.value


@given(
    st.lists(
        st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=12), min_size=1, max_size=4
    ),
    st.binary(max_size=60),
    st.lists(
        st.tuples(st.sampled_from("abcB-"), st.text("xyz09 +/=", max_size=6)), max_size=3, unique_by=lambda row: row[0]
    ),
    st.booleans(),
)
def test_what_botocore_signs_is_accepted_and_no_other_body_or_path(segments, body, pairs, temporary):
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    known = TEMPORARY if temporary else KNOWN
    account = AwsAccount(credentials=[known])
    request = signed(path, body, query, token=known.session_token)
    account.admit(request, "bedrock", None)
    assert refused(account, request._replace(body=body + b" ")).kind == "InvalidSignatureException"
    assert refused(account, request._replace(target=b"/x" + request.target)).kind == "InvalidSignatureException"
    assert refused(account, request._replace(method=b"PUT")).kind == "InvalidSignatureException"


def test_a_signed_header_may_not_change_and_an_unsigned_one_may():
    account = AwsAccount(credentials=[KNOWN])
    request = signed(headers={"Content-Type": "application/json", "X-Amzn-Trace": " a   b "})
    account.admit(request._replace(headers=[*request.headers, (b"user-agent", b"x")]), "bedrock", None)
    changed = [(name, b"text/plain" if name == b"content-type" else value) for name, value in request.headers]
    assert refused(account, request._replace(headers=changed)).kind == "InvalidSignatureException"
    added = [*request.headers, (b"x-amz-target", b"x")]
    assert "must be a 'SignedHeader'" in refused(account, request._replace(headers=added)).message


def without(request, name):
    return request._replace(headers=[row for row in request.headers if row[0] != name])


def with_authorization(request, value):
    return without(request, b"authorization")._replace(
        headers=[*without(request, b"authorization").headers, (b"authorization", value)]
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"Basic eDp5", "IncompleteSignatureException"),
        (b"AWS4-HMAC-SHA256 Credential=x", "IncompleteSignatureException"),
        (b"AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=host, Signature=0", "IncompleteSignatureException"),
        (
            b"AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=0",
            "InvalidSignatureException",
        ),
    ],
)
def test_a_malformed_signature_is_refused_even_where_any_is_accepted(value, kind):
    assert refused(AwsAccount(), with_authorization(signed(), value)).kind == kind


def test_no_signature():
    refusal = refused(AwsAccount(), without(signed(), b"authorization"))
    assert (refusal.kind, refusal.message) == ("MissingAuthenticationTokenException", "Missing Authentication Token")


def test_no_date():
    assert "X-Amz-Date" in refused(AwsAccount(), without(signed(), b"x-amz-date")).message


def test_any_signature_is_accepted_where_nobody_is_known():
    AwsAccount().admit(signed(secret="another"), "bedrock", None)
    AwsAccount().admit(signed(), "bedrock", frozenset([KEY]))
    assert refused(AwsAccount(), signed(), frozenset(["sk-other"])).kind == "UnrecognizedClientException"


@pytest.mark.parametrize(
    ("known", "request_", "kind", "words"),
    [
        (KNOWN, {"secret": "wrong"}, "InvalidSignatureException", "Check your AWS Secret Access Key"),
        (KNOWN, {"token": TOKEN}, "UnrecognizedClientException", "The security token included in the request is invalid."),
        (TEMPORARY, {}, "UnrecognizedClientException", "The security token included in the request is invalid."),
        (TEMPORARY, {"token": "old"}, "UnrecognizedClientException", "The security token included in the request is invalid."),
        (KNOWN, {"region": "eu-west-1"}, "InvalidSignatureException", "Credential should be scoped to a valid region"),
        (KNOWN, {"service": "sagemaker"}, "InvalidSignatureException", "Credential should be scoped to correct service: 'bedrock'"),
    ],
)  # fmt: skip
def test_a_wrong_credential(known, request_, kind, words):
    account = AwsAccount(credentials=[known], region="us-east-1")
    refusal = refused(account, signed(**request_))
    assert refusal.kind == kind and words in refusal.message
    account.admit(signed(token=known.session_token), "bedrock", None)


def test_an_unknown_access_key():
    other = AwsCredential(access_key="AKIDOTHER", secret_key=SECRET)
    assert refused(AwsAccount(credentials=[other]), signed()).kind == "UnrecognizedClientException"


def test_a_credential_expires_by_the_servers_clock():
    account = AwsAccount(credentials=[TEMPORARY])
    account.admit(signed(token=TOKEN), "bedrock", None)
    account.credentials = [
        AwsCredential(access_key=KEY, secret_key=SECRET, session_token=TOKEN, expires_at_s=account.now())
    ]
    refusal = refused(account, signed(token=TOKEN))
    assert (refusal.kind, refusal.message) == (
        "ExpiredTokenException",
        "The security token included in the request is expired",
    )


LATE = r"Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)"
EARLY = r"Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 5 min\.\)"


@pytest.mark.parametrize(("ahead_s", "words"), [(360, LATE), (-360, EARLY)])
def test_clocks_may_differ_by_five_minutes(ahead_s, words):
    account = AwsAccount()
    for small in (-240, 240):
        account.clock_ahead_s = small
        account.admit(signed(), "bedrock", None)
    account.clock_ahead_s = ahead_s
    refusal = refused(account, signed())
    assert refusal.kind == "InvalidSignatureException"
    with pytest.raises(AwsRefusal, match=words):
        raise refusal


def bearer(token):
    return Request(b"POST", b"/model/a/converse", [(b"authorization", f"Bearer {token}".encode())], b"{}", True)


def test_api_keys():
    AwsAccount().admit(bearer("any"), "bedrock", None)
    AwsAccount().admit(bearer("sk-right"), "bedrock", frozenset(["sk-right"]))
    account = AwsAccount(api_keys=["bedrock-api-key"])
    account.admit(bearer("bedrock-api-key"), "bedrock", None)
    refusal = refused(account, bearer("other"))
    assert (refusal.kind, refusal.message_key) == ("AccessDeniedException", "Message")
    assert refused(AwsAccount(), bearer("")).kind == "AccessDeniedException"


def test_the_region_is_the_accounts_or_the_signed_one():
    assert signed_region(signed(region="eu-west-1").headers, AwsAccount()) == "eu-west-1"
    assert signed_region(signed(region="eu-west-1").headers, AwsAccount(region="us-west-2")) == "us-west-2"
    assert signed_region(bearer("x").headers, AwsAccount()) == "us-east-1"


def test_a_secret_is_in_no_repr():
    assert SECRET not in repr(TEMPORARY) and TOKEN not in repr(TEMPORARY)
    assert SECRET not in repr(AwsAccount(credentials=[TEMPORARY]))


@pytest.fixture(scope="module")
def provider():
    known = AwsCredential(access_key=KEY, secret_key=SECRET_KEY)
    with SimulatedProvider(aws=AwsAccount(credentials=[known], region="us-east-1")).in_thread() as running:
        yield running


def test_boto3_is_let_in_and_its_parser_names_each_refusal(provider):
    with BedrockSession(provider.base_url, KEY) as session:
        assert session.converse(messages=[{"role": "user", "content": [{"text": "Hi"}]}])["stopReason"] == "end_turn"
        provider.aws.clock_ahead_s = 1_000
        assert session.error()[0]["code"] == "InvalidSignatureException"
        provider.aws.clock_ahead_s = 0
        provider.aws.denied.add("bedrock:InvokeModelWithResponseStream")
        assert session.error(stream=True)[0]["code"] == "AccessDeniedException"
        session.converse(messages=[{"role": "user", "content": [{"text": "Hi"}]}])
        provider.aws.denied.clear()
    with BedrockSession(provider.base_url, KEY, aws_secret_access_key="wrong") as session:
        assert session.error()[0]["code"] == "InvalidSignatureException"
    with BedrockSession(provider.base_url, "AKIDOTHER") as session:
        assert session.error()[0]["code"] == "UnrecognizedClientException"
    with BedrockSession(provider.base_url, KEY, region_name="eu-west-1") as session:
        assert session.error()[0]["code"] == "InvalidSignatureException"


def test_heads_look_like_aws(provider):
    with BedrockSession(provider.base_url, KEY) as session, pytest.raises(Exception, match="identifier") as caught:
        session.converse(modelId="missing-model", messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    metadata = caught.value.response["ResponseMetadata"]
    assert len(metadata["RequestId"]) == 36
    kind = metadata["HTTPHeaders"]["x-amzn-errortype"]
    assert kind == "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"
