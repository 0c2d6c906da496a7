"""What configuration and environment say about an AWS provider: region, address, identity; and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from trimaran.config import Config, load_mapping
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError
from trimaran.providers import Endpoint, endpoint, sources_of, words_of
from trimaran.providers.aws.access import at_region
from trimaran.providers.aws.credentials import AwsIdentity, AwsSource
from trimaran.types import Identity

ROLE = "arn:aws:iam::123456789012:role/models"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "canary"}


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment without AWS in it, and without this machine's files."""
    return {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config")}


def config_of(environ: Mapping[str, str], name: str = "sagemaker", **settings: object) -> Config:
    return load_mapping({"providers": {name: settings}} if settings else {}, environ)


def found(environ: Mapping[str, str], name: str = "sagemaker", **settings: object) -> Endpoint:
    return endpoint(name, config_of(environ, name, **settings), environ)


def problem(environ: Mapping[str, str], name: str = "sagemaker", **settings: object) -> str:
    with pytest.raises(ConfigError) as caught:
        found(environ, name, **settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "environ", "region"),
    [
        ({"region": "eu-central-1"}, {"AWS_REGION": "us-east-2"}, "eu-central-1"),
        ({}, {"AWS_REGION": "us-east-2", "AWS_DEFAULT_REGION": "us-west-1"}, "us-east-2"),
        ({}, {"AWS_DEFAULT_REGION": "us-west-1"}, "us-west-1"),
        ({}, {}, "ap-southeast-2"),
        ({"profile": "prod"}, {}, "us-gov-west-1"),
        ({}, {"AWS_PROFILE": "prod"}, "us-gov-west-1"),
    ],
)
def test_the_region_is_looked_for_where_aws_looks(
    nowhere: dict[str, str], settings: dict[str, object], environ: dict[str, str], region: str
) -> None:
    Path(nowhere["AWS_CONFIG_FILE"]).write_text(
        "[default]\nregion = ap-southeast-2\n[profile prod]\nregion = us-gov-west-1\n"
    )
    made = found(nowhere | environ, **settings)
    assert made.base_url == f"https://runtime.sagemaker.{region}.amazonaws.com"
    assert made.config.region == region
    assert made.usable


def test_china_has_a_domain_of_its_own() -> None:
    assert at_region("https://x.{region}.amazonaws.com", "cn-north-1") == "https://x.cn-north-1.amazonaws.com.cn"


def test_without_a_region_the_mend_is_named(nowhere: dict[str, str]) -> None:
    made = found(nowhere | KEYS)
    assert not made.usable and made.problem is not None
    assert made.problem.message.startswith("no AWS region is known for sagemaker; tried: ")
    assert "AWS_REGION" in made.problem.message and "AWS_REGION=us-east-1" in made.problem.hint


def test_a_zone_is_no_region(nowhere: dict[str, str]) -> None:
    made = found(nowhere | {"AWS_REGION": "us-east-1a"})
    assert made.problem is not None and "this is no AWS region" in made.problem.message


def test_another_address_keeps_the_region_that_is_signed_for(nowhere: dict[str, str]) -> None:
    made = found(nowhere, region="us-east-1", base_url="http://127.0.0.1:4566")
    assert (made.base_url, made.config.region) == ("http://127.0.0.1:4566", "us-east-1")
    variable = {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://127.0.0.1:9"}
    assert found(nowhere | variable, region="us-east-1").base_url == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "host", ["runtime.sagemaker.eu-west-1.amazonaws.com", "vpce-0a-x.runtime.sagemaker.eu-west-1.vpce.amazonaws.com"]
)
def test_an_address_of_another_region_is_refused(nowhere: dict[str, str], host: str) -> None:
    told = problem(nowhere, region="us-east-1", base_url=f"https://{host}")
    assert "providers.sagemaker.base_url is in eu-west-1, and us-east-1 is signed for" in told
    assert "write region: eu-west-1" in told
    assert found(nowhere, region="eu-west-1", base_url=f"https://{host}").base_url == f"https://{host}"
    balancer = "https://models.eu-west-1.elb.amazonaws.com"
    assert found(nowhere, region="us-east-1", base_url=balancer).base_url == balancer


def test_plain_http_to_another_machine_is_warned_of(nowhere: dict[str, str]) -> None:
    assert found(nowhere, region="us-east-1", base_url="http://127.0.0.1:9").warnings == ()
    (warning,) = found(nowhere, region="us-east-1", base_url="http://models.example:9").warnings
    assert "travels unencrypted" in warning and "use https://" in warning


def test_sagemaker_has_no_api_key(nowhere: dict[str, str]) -> None:
    told = problem(nowhere | {"K": "canary"}, region="us-east-1", api_key="${K}")
    assert "providers.sagemaker.api_key: SageMaker has no API keys" in told


@pytest.mark.parametrize(
    "settings", [{"profile": "prod"}, {"role_arn": ROLE}, {"access_key_id": "${K}", "secret_access_key": "${K}"}]
)
def test_what_a_provider_says_of_itself_wins_over_a_key_of_the_environment(
    nowhere: dict[str, str], settings: dict[str, object]
) -> None:
    environ = nowhere | {"K": "canary", "AWS_BEARER_TOKEN_BEDROCK": "another"}
    made = found(environ, "bedrock", region="us-east-1", **settings)
    assert (made.secret, made.access is not None) == (None, True)
    plain = found(environ, "bedrock", region="us-east-1")
    assert (plain.secret_from, plain.access) == ("AWS_BEARER_TOKEN_BEDROCK", None)


def test_an_identity_holds_what_was_written_and_no_secret(nowhere: dict[str, str]) -> None:
    settings = {
        "region": "us-east-1",
        "profile": "prod",
        "role_arn": ROLE,
        "external_id": "x-1",
        "role_session_name": "eu",
    }
    made = found(nowhere, **settings)
    assert made.access is not None
    assert made.access.identity == Identity("aws", {**settings, "where": "providers.sagemaker"})


def test_static_keys_travel_apart_from_the_identity(nowhere: dict[str, str]) -> None:
    environ = nowhere | {"MY_ID": "AKIAMINE", "MY_SECRET": "canary"}
    config = config_of(
        environ, region="us-east-1", access_key_id="${MY_ID}", secret_access_key="${MY_SECRET}", role_arn=ROLE
    )
    snapshot = build_snapshot(config, environ, 1)
    assert "canary" not in repr(snapshot.identities)
    assert snapshot.secrets == {words_of("sagemaker"): "AKIAMINE\ncanary\n"}
    expected = AwsIdentity(
        region="us-east-1", role_arn=ROLE, keys=("AKIAMINE", "canary", ""), where="providers.sagemaker"
    )
    assert sources_of(snapshot) == {"sagemaker": AwsSource(expected)}
    assert snapshot.wildcards["sagemaker"].credential == "sagemaker"


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_the_environment_alone_serves_it(nowhere: dict[str, str], variable: str) -> None:
    environ = nowhere | {variable: "x", "AWS_REGION": "us-east-1"}
    snapshot = build_snapshot(load_mapping({}, environ), environ, 1)
    assert "sagemaker" in snapshot.identities and "sagemaker" in snapshot.wildcards


def test_a_file_of_profiles_alone_does_not(nowhere: dict[str, str]) -> None:
    Path(nowhere["AWS_CONFIG_FILE"]).write_text("[default]\nregion = us-east-1\n")
    snapshot = build_snapshot(load_mapping({}, nowhere), nowhere, 1)
    assert not snapshot.identities and "sagemaker" not in snapshot.wildcards
    config = load_mapping({"models": {"m": {"targets": ["sagemaker/llama"]}}}, nowhere)
    assert "sagemaker" in build_snapshot(config, nowhere, 1).identities


def test_keys_without_a_region_are_a_note_and_no_error(nowhere: dict[str, str]) -> None:
    snapshot = build_snapshot(load_mapping({}, nowhere | KEYS), nowhere | KEYS, 1)
    assert not snapshot.identities
    assert any("no AWS region is known for sagemaker" in warning for warning in snapshot.warnings)


def test_a_model_there_without_a_region_is_an_error(nowhere: dict[str, str]) -> None:
    config = load_mapping({"models": {"m": {"targets": ["sagemaker/llama"]}}}, nowhere)
    with pytest.raises(ConfigError, match="no AWS region is known"):
        build_snapshot(config, nowhere, 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"access_key_id": "${K}"}, "access_key_id: secret_access_key is missing"),
        ({"secret_access_key": "${K}"}, "secret_access_key: access_key_id is missing"),
        ({"session_token": "${K}"}, "session_token: access_key_id is missing"),
        (
            {"access_key_id": "${K}", "secret_access_key": "${K}", "profile": "p"},
            "profile: access_key_id is given, too",
        ),
        ({"external_id": "x-1"}, "external_id: role_arn is missing"),
        ({"role_session_name": "eu"}, "role_session_name: role_arn is missing"),
        ({"api_key": "${K}", "profile": "p"}, "profile: api_key is given, too"),
    ],
)
def test_settings_that_contradict_each_other(nowhere: dict[str, str], settings: dict[str, object], said: str) -> None:
    assert f"providers.sagemaker.{said}" in problem(nowhere | {"K": "canary"}, **settings)


def test_others_do_not_have_these_settings(nowhere: dict[str, str]) -> None:
    text = problem(nowhere, "vllm", base_url="http://127.0.0.1:8000", profile="prod")
    assert "only providers of AWS have it" in text and "sagemaker" in text


def test_a_key_must_not_stand_in_the_file(nowhere: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="a credential must not stand in the file"):
        config_of(nowhere, access_key_id="AKIAMINE")


def test_a_role_is_written_as_its_arn(nowhere: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="the ARN of an IAM role"):
        config_of(nowhere, role_arn="models")
