"""Each rule alone: what it accepts, what it refuses, and that it leaves tokens to CloudFormation."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint import _validation as validate

TOKEN = cdk.Fn.import_value("elsewhere")
NUMBER_TOKEN = cdk.Token.as_number(cdk.Fn.ref("Count"))


@pytest.mark.parametrize("value", [None, "a", "a-1", "A--b", "a" * 63, TOKEN])
def test_name_accepts(value: str | None) -> None:
    assert not list(validate.name("endpoint_name", value))


@pytest.mark.parametrize("value", ["", "-a", "a-", "a_b", "a.b", "ü", "a" * 64, "a\n"])
def test_name_refuses(value: str) -> None:
    (problem,) = validate.name("endpoint_name", value)
    assert problem.startswith("endpoint_name must be 1 to 63 letters")
    assert repr(value) in problem


@pytest.mark.parametrize("value", [1, 2, 1000, NUMBER_TOKEN])
def test_at_least_accepts(value: float) -> None:
    assert not list(validate.at_least("initial_instance_count", value, 1))


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_at_least_refuses(value: float) -> None:
    assert list(validate.at_least("initial_instance_count", value, 1)) == [
        f"initial_instance_count must be at least 1, got {value}"
    ]


@pytest.mark.parametrize("value", [None, 60, 3600, NUMBER_TOKEN])
def test_within_accepts(value: float | None) -> None:
    assert not list(validate.within("model_data_download_timeout", value, 60, 3600, "seconds"))


@pytest.mark.parametrize("value", [0, 59, 3601])
def test_within_refuses(value: float) -> None:
    assert list(validate.within("model_data_download_timeout", value, 60, 3600, "seconds")) == [
        f"model_data_download_timeout must be 60 to 3600 seconds, got {value}"
    ]


@pytest.mark.parametrize(
    "value",
    [{}, {"A": ""}, {"_a1": "x" * 1024}, {f"K{i}": "v" for i in range(100)}, {"A": TOKEN}, {TOKEN: "v"}],
)
def test_environment_accepts(value: dict[str, str]) -> None:
    assert not list(validate.environment("environment", value))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({f"K{i}": "v" for i in range(101)}, "at most 100 entries, got 101"),
        ({"SAGEMAKER_MULTI_MODEL": "true"}, "must not set SAGEMAKER_MULTI_MODEL"),
        ({"1A": "v"}, "got '1A'"),
        ({"A-B": "v"}, "got 'A-B'"),
        ({"A" * 1025: "v"}, "names of at most 1024"),
        ({"A": "v" * 1025}, "at most 1024 characters, got 1025 for A"),
        ({"A": 1}, "strings as values, got 1 for A: write '1'"),
        ({"A": True}, "write 'True'"),
        ({"A": "\x82"}, "without control characters"),
    ],
)
def test_environment_refuses(value: dict[str, Any], problem: str) -> None:
    (found,) = validate.environment("environment", value)
    assert found.startswith("environment must")
    assert problem in found


def test_environments_are_limited_together() -> None:
    half = {f"K{i:03}": "v" * 1020 for i in range(16)}
    assert not list(validate.environments("environment", [half, half]))
    (problem,) = validate.environments("environment", [half, half, {"A": ""}])
    assert problem == "environment of all containers together must be at most 32 KB, got 32769 bytes"
    assert not list(validate.environments("environment", [half, half, {"A": TOKEN}]))


@pytest.mark.parametrize("hostnames", [[None], ["a"], [None, None], ["a", "b"], [None] * 15])
def test_pipeline_accepts(hostnames: list[str | None]) -> None:
    assert not list(validate.pipeline(hostnames))


@pytest.mark.parametrize(
    ("hostnames", "problem"),
    [
        ([None] * 16, "at most 15 containers with the multi-model one, got 16"),
        (["a", None], "for all 2 containers or for none, got it for 1"),
        (["a", "a"], "unique within an endpoint, got 'a' more than once"),
    ],
)
def test_pipeline_refuses(hostnames: list[str | None], problem: str) -> None:
    (found,) = validate.pipeline(hostnames)
    assert problem in found


@pytest.mark.parametrize("value", ["ml.m5.xlarge", "ml.g4dn.4xlarge", "ml.p4d.24xlarge", "ml.z9-new.large", TOKEN])
def test_instance_type_accepts(value: str) -> None:
    assert not list(validate.instance_type("instance_type", value))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("m5.xlarge", "such as 'ml.m5.xlarge', got 'm5.xlarge'"),
        ("ml.m5", "got 'ml.m5'"),
        ("", "got ''"),
        ("ml.inf2.xlarge", "don't run on Inferentia"),
        ("ml.trn1.2xlarge", "don't run on Inferentia"),
    ],
)
def test_instance_type_refuses(value: str, problem: str) -> None:
    (found,) = validate.instance_type("instance_type", value)
    assert problem in found


@pytest.mark.parametrize(
    ("instance_type", "image"),
    [
        ("ml.m5.xlarge", "x86_64"),
        ("ml.m6g.xlarge", "arm64"),
        ("ml.m6g.xlarge", None),
        ("ml.new1.xlarge", "arm64"),
        (TOKEN, "arm64"),
    ],
)
def test_architecture_accepts(instance_type: str, image: str | None) -> None:
    assert not list(validate.architecture("instance_type", instance_type, image))


@pytest.mark.parametrize(("instance_type", "image"), [("ml.m5.xlarge", "arm64"), ("ml.m6g.xlarge", "x86_64")])
def test_architecture_refuses(instance_type: str, image: str) -> None:
    (problem,) = validate.architecture("instance_type", instance_type, image)
    assert f"but the image is built for {image}" in problem


@pytest.mark.parametrize("value", ["models", "models/", "a/b/c/", "a-b_c.d/", TOKEN])
def test_prefix_accepts(value: str) -> None:
    assert not list(validate.prefix("prefix", value))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "must not be empty"),
        ("/", "must not be empty"),
        ("/models/", "empty segments"),
        ("a//b", "empty segments"),
        ("models/m.tar.gz", "pass the folder"),
        ("mod els/", "printable ASCII"),
        ("models*/", "printable ASCII"),
    ],
)
def test_prefix_refuses(value: str, problem: str) -> None:
    (found,) = validate.prefix("prefix", value)
    assert problem in found


def test_model_data_url_is_limited() -> None:
    assert not list(validate.model_data_url("prefix", "s3://b/" + "a" * 1017))
    assert not list(validate.model_data_url("prefix", TOKEN))
    assert list(validate.model_data_url("prefix", "s3://b/" + "a" * 1018)) == [
        "prefix must give an S3 URL of at most 1024 characters, got 1025"
    ]


@pytest.mark.parametrize("value", ["resnet", "tenant_a/resnet", "a b"])
def test_model_name_accepts(value: str) -> None:
    assert not list(validate.model_name("name", value))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "printable ASCII"),
        (" a", "printable ASCII"),
        ("ä", "printable ASCII"),
        ("a\n", "printable ASCII"),
        ("/a", "relative path"),
        ("a/", "relative path"),
        ("a//b", "relative path"),
        ("../a", "relative path"),
        ("a/./b", "relative path"),
        ("a.tar.gz", "must not end in '.tar.gz'"),
    ],
)
def test_model_name_refuses(value: str, problem: str) -> None:
    (found,) = validate.model_name("name", value)
    assert problem in found


def test_object_key_is_limited() -> None:
    assert not list(validate.object_key("name", "models/", "a" * 1017))
    assert not list(validate.object_key("name", TOKEN, "a" * 1024))
    (problem,) = validate.object_key("name", "models/", "a" * 1018)
    assert problem.startswith("name must leave")
    assert problem.endswith("at most 1024 characters, got 1025")


@pytest.mark.parametrize("value", [None, "s3://bucket/key.tar.gz", f"s3://{TOKEN}/key", f"s3://bucket/{TOKEN}"])
def test_object_url_accepts(value: str | None) -> None:
    assert not list(validate.object_url("model_data_url", value))


@pytest.mark.parametrize("value", ["bucket/key", "s3://bucket", "s3://bucket/", "s3:///key", "https://b/k", TOKEN])
def test_object_url_refuses(value: str) -> None:
    (problem,) = validate.object_url("model_data_url", value)
    assert problem.startswith("model_data_url must be 's3://bucket/key.tar.gz'")
