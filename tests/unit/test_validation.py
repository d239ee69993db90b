"""Each rule alone: what it accepts, what it refuses, and that it leaves tokens to CloudFormation."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.tables import aws_images

from .conftest import messages

TOKEN = cdk.Fn.import_value("elsewhere")
NUMBER_TOKEN = cdk.Token.as_number(cdk.Fn.ref("Count"))


@pytest.mark.parametrize("value", [None, "a", "a-1", "A--b", "a" * 63, TOKEN])
def test_name_accepts(value: str | None) -> None:
    assert not list(validate.name("endpoint_name", value))


@pytest.mark.parametrize("value", ["", "-a", "a-", "a_b", "a.b", "ü", "-" + "a" * 62, "a" * 64, "a\n"])
def test_name_refuses(value: str) -> None:
    (problem,) = validate.name("endpoint_name", value)
    length = f" ({len(value)} characters)" if len(value) > 63 else ""
    assert problem.message == f"endpoint_name must be 1 to 63 letters, digits and inner hyphens, got {value!r}{length}"


@pytest.mark.parametrize("value", [1, 2, 1000, NUMBER_TOKEN])
def test_at_least_accepts(value: float) -> None:
    assert not list(validate.at_least("initial_instance_count", value, 1))


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_at_least_refuses(value: float) -> None:
    assert messages(validate.at_least("initial_instance_count", value, 1)) == [
        f"initial_instance_count must be at least 1, got {value}"
    ]


@pytest.mark.parametrize("value", [None, 60, 3600, NUMBER_TOKEN])
def test_within_accepts(value: float | None) -> None:
    assert not list(validate.within("model_data_download_timeout", value, 60, 3600, "seconds"))


@pytest.mark.parametrize("value", [0, 59, 3601])
def test_within_refuses(value: float) -> None:
    assert messages(validate.within("model_data_download_timeout", value, 60, 3600, "seconds")) == [
        f"model_data_download_timeout must be 60 to 3600 seconds, got {value}"
    ]


@pytest.mark.parametrize("value", [0.5, 1, 99.5, 100, NUMBER_TOKEN])
def test_percentage_accepts(value: float) -> None:
    assert not list(validate.percentage("target_utilization_percent", value))


@pytest.mark.parametrize("value", [0, -1, 100.5, float("nan")])
def test_percentage_refuses(value: float) -> None:
    assert messages(validate.percentage("target_utilization_percent", value)) == [
        f"target_utilization_percent must be above 0 and at most 100 percent, got {value}"
    ]


@pytest.mark.parametrize(
    ("minimum", "maximum"),
    [
        (None, None),
        (1, None),
        (None, 1),
        (1, 1),
        (1, 2000),
        (2, NUMBER_TOKEN),
        (NUMBER_TOKEN, 2),
        (NUMBER_TOKEN, NUMBER_TOKEN),
    ],
)
def test_capacity_accepts(minimum: int | None, maximum: int | None) -> None:
    assert not list(validate.capacity(minimum, maximum))


@pytest.mark.parametrize(
    ("minimum", "maximum", "problems"),
    [
        (0, None, ["min_capacity must be at least 1, got 0"]),
        (None, 0, ["max_capacity must be at least 1, got 0"]),
        (3, 2, ["min_capacity must be at most max_capacity, got 3 and 2"]),
        (0, 0, ["min_capacity must be at least 1, got 0", "max_capacity must be at least 1, got 0"]),
    ],
)
def test_capacity_refuses(minimum: int | None, maximum: int | None, problems: list[str]) -> None:
    assert messages(validate.capacity(minimum, maximum)) == problems


@pytest.mark.parametrize(
    ("value", "minimum", "maximum"),
    [
        (2, 2, 2),
        (2, 1, 3),
        (2000, 1, 3000),
        (NUMBER_TOKEN, 1, 2),
        (2, NUMBER_TOKEN, 2),
        (2, 2, NUMBER_TOKEN),
    ],
)
def test_capacity_around_accepts(value: int, minimum: int, maximum: int) -> None:
    assert not list(validate.capacity_around("initial_instance_count", value, minimum, maximum))


@pytest.mark.parametrize(
    ("value", "minimum", "maximum", "problem"),
    [
        (2, 3, 4, "min_capacity must be at most initial_instance_count 2, got 3"),
        (2, 3, NUMBER_TOKEN, "min_capacity must be at most initial_instance_count 2, got 3"),
        (5, 3, 4, "max_capacity must be at least initial_instance_count 5, got 4"),
        (5, NUMBER_TOKEN, 4, "max_capacity must be at least initial_instance_count 5, got 4"),
    ],
)
def test_capacity_around_refuses(value: int, minimum: int, maximum: int, problem: str) -> None:
    assert messages(validate.capacity_around("initial_instance_count", value, minimum, maximum)) == [problem]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"A": ""},
        {"_a1": "x" * 1024},
        {"A" * 1024: "v"},
        {f"K{i}": "v" for i in range(100)},
        {"A": "\t\n\r ü 漢 🙂"},
        {"A": TOKEN},
        {"A": TOKEN * 100},
        {"A": f"{TOKEN}\x00"},
        {TOKEN: "v"},
        {TOKEN * 100: "v"},
    ],
)
def test_environment_accepts(value: dict[str, str]) -> None:
    assert not list(validate.environment("environment", value))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({f"K{i}": "v" for i in range(101)}, "at most 100 entries, got 101"),
        ({"SAGEMAKER_MULTI_MODEL": "true"}, "must not set SAGEMAKER_MULTI_MODEL"),
        ({"1A": "v"}, "don't start with a digit, got '1A'"),
        ({TOKEN: "v", "": "v"}, "got ''"),
        ({TOKEN: "v", "1A": "v"}, "got '1A'"),
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
    assert not list(validate.environments("environment", []))
    assert not list(validate.environments("environment", [half]))
    assert not list(validate.environments("environment", [half, half]))
    (problem,) = validate.environments("environment", [half, half, {"A": ""}])
    assert problem.message == "environment of all containers together must be at most 32 KB, got 32769 bytes"
    assert not list(validate.environments("environment", [half, half, {"A": TOKEN}]))
    assert not list(validate.environments("environment", [half, half, {TOKEN: "v"}]))


def test_environments_are_counted_in_bytes() -> None:
    (problem,) = validate.environments("environment", [{f"K{i:03}": "ü" * 1020 for i in range(17)}])
    assert problem.message.endswith(f"got {17 * (4 + 2 * 1020)} bytes")


@pytest.mark.parametrize("hostnames", [[None], ["a"], [None, None], ["a", "b"], [None] * 15])
def test_pipeline_accepts(hostnames: list[str | None]) -> None:
    assert not list(validate.pipeline(hostnames))


@pytest.mark.parametrize(
    ("hostnames", "problem"),
    [
        ([None] * 16, "at most 15 containers with the multi-model one, got 16"),
        (["a", None], "for all 2 containers or for none, got it for 1"),
        ([None, "a", "b"], "for all 3 containers or for none, got it for 2"),
        (["a", "a"], "unique within an endpoint, got 'a' more than once"),
        (["a", "b", "a", "a"], "unique within an endpoint, got 'a' more than once"),
    ],
)
def test_pipeline_refuses(hostnames: list[str | None], problem: str) -> None:
    (found,) = validate.pipeline(hostnames)
    assert problem in found


def test_pipeline_names_every_hostname_given_twice() -> None:
    assert [found.partition("got ")[2] for found in messages(validate.pipeline(["b", "a", "c", "b", "a"]))] == [
        "'a' more than once",
        "'b' more than once",
    ]


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
        ("ml.p6e-gb200.36xlarge", "x86_64"),  # AWS does not say which processor it has
        (TOKEN, "arm64"),
    ],
)
def test_architecture_accepts(instance_type: str, image: str | None) -> None:
    assert not list(validate.architecture("instance_type", instance_type, image))


def test_architecture_accepts_every_image_of_awss_where_it_runs() -> None:
    for image in aws_images():
        instance_type = {"x86_64": "ml.m5.xlarge", "arm64": "ml.m6g.xlarge"}[image.architecture]
        assert not list(validate.architecture("instance_type", instance_type, image.architecture))


@pytest.mark.parametrize(
    ("instance_type", "processor", "image"),
    [("ml.m5.xlarge", "x86_64", "arm64"), ("ml.m6g.xlarge", "arm64", "x86_64")],
)
def test_architecture_refuses(instance_type: str, processor: str, image: str) -> None:
    assert messages(validate.architecture("instance_type", instance_type, image)) == [
        f"instance_type {instance_type!r} has {processor} processors, but the image is built for {image}"
    ]


@pytest.mark.parametrize("value", ["models", "models/", "a/b/c/", "a-b_c.d/", "!~/", TOKEN, f"/{TOKEN}//*"])
def test_prefix_accepts(value: str) -> None:
    assert not list(validate.prefix("prefix", value))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "must not be empty"),
        ("/", "must not be empty"),
        ("/models/", "empty segments"),
        ("a//b", "empty segments"),
        ("models/m.tar.gz", "got the object 'models/m.tar.gz': pass the folder that it is in"),
        ("models/m.tar.gz/", "got the object 'models/m.tar.gz/': pass the folder that it is in"),
        ("mod els/", "printable ASCII"),
        ("modèles/", "printable ASCII"),
        ("models\n", "printable ASCII"),
        ("models*/", "printable ASCII"),
        ("models?/", "printable ASCII"),
    ],
)
def test_prefix_refuses(value: str, problem: str) -> None:
    (found,) = validate.prefix("prefix", value)
    assert found.startswith("prefix must ")
    assert problem in found
    assert repr(value) in found


def test_model_data_url_is_limited() -> None:
    assert not list(validate.model_data_url("prefix", "s3://b/a"))
    assert not list(validate.model_data_url("prefix", "s3://b/" + "a" * 1017))
    assert not list(validate.model_data_url("prefix", f"s3://{TOKEN}/" + "a" * 1024))
    assert messages(validate.model_data_url("prefix", "s3://b/" + "a" * 1018)) == [
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
    assert list(validate.object_key("name", TOKEN, "a" * 1025))
    (problem,) = validate.object_key("name", "models/", "a" * 1018)
    assert problem.startswith("name must leave")
    assert problem.message.endswith("at most 1024 characters, got 1025")


@pytest.mark.parametrize("value", [None, "s3://bucket/key.tar.gz", f"s3://{TOKEN}/key", f"s3://bucket/{TOKEN}"])
def test_object_url_accepts(value: str | None) -> None:
    assert not list(validate.object_url("model_data_url", value))


@pytest.mark.parametrize("value", ["bucket/key", "s3://bucket", "s3://bucket/", "s3:///key", "https://b/k", TOKEN])
def test_object_url_refuses(value: str) -> None:
    (problem,) = validate.object_url("model_data_url", value)
    assert problem.startswith("model_data_url must be 's3://bucket/key.tar.gz'")


def test_object_url_is_limited() -> None:
    assert messages(validate.object_url("model_data_url", "s3://b/" + "a" * 1018)) == [
        "model_data_url must give an S3 URL of at most 1024 characters, got 1025"
    ]


@pytest.mark.parametrize(
    "value",
    ["a", "tenant_a/*", "a b", "!~", "a" * 1024, "${aws:PrincipalTag/tenant}/*", TOKEN, f"/{TOKEN}", TOKEN * 100],
)
def test_target_model_pattern_accepts(value: str) -> None:
    assert not list(validate.target_model_pattern(value))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "must be patterns of 1 to 1024 characters, got 0"),
        ("a" * 1025, "must be patterns of 1 to 1024 characters, got 1025"),
        (
            "//a/*",
            "must be relative to the store's prefix, got '//a/*': it would match nothing, write 'a/*'",
        ),
        (" a", "must be printable ASCII characters that don't start with a blank, got ' a'"),
        ("ä", "must be printable ASCII characters that don't start with a blank, got 'ä'"),
        ("a\n", "must be printable ASCII characters that don't start with a blank, got 'a\\n'"),
    ],
)
def test_target_model_pattern_refuses(value: str, problem: str) -> None:
    assert messages(validate.target_model_pattern(value)) == [f"target_models {problem}"]


@pytest.mark.parametrize(
    ("names", "problems"),
    [
        (["a"], []),
        ([f"v{i}" for i in range(10)], []),
        ([f"v{i}" for i in range(11)], ["an endpoint has at most 10 variants, got 11"]),
        (
            ["b", "a", "c", "b", "a", "a"],
            [
                "variant_name must be unique within an endpoint, got 'a' a second time",
                "variant_name must be unique within an endpoint, got 'b' a second time",
            ],
        ),
    ],
)
def test_variant_names_are_few_and_unique(names: list[str], problems: list[str]) -> None:
    assert messages(validate.variant_names(names)) == problems


@pytest.mark.parametrize("values", [[1], [0.5], [0, 1], [1, 0], [NUMBER_TOKEN], [0, NUMBER_TOKEN]])
def test_weights_accepts(values: list[float]) -> None:
    assert not list(validate.weights(values))


@pytest.mark.parametrize("values", [[0], [0, 0], [0.0], [-1]])
def test_weights_refuses(values: list[float]) -> None:
    assert messages(validate.weights(values)) == [
        "initial_variant_weight must be above 0 for at least one variant: otherwise none gets traffic"
    ]


@pytest.mark.parametrize("value", ["ml.m5.xlarge", "ml.p3.2xlarge", "ml.new1.xlarge", TOKEN])
def test_encryption_key_accepts(value: str) -> None:
    assert not list(validate.encryption_key("instance_type", value))


@pytest.mark.parametrize("value", ["ml.m5d.large", "ml.g4dn.xlarge"])
def test_encryption_key_refuses(value: str) -> None:
    (problem,) = validate.encryption_key("instance_type", value)
    assert problem.startswith(f"encryption_key must not be given with instance_type {value!r}: its local NVMe storage")


@pytest.mark.parametrize("values", [["Input"], ["Output"], ["Input", "Output"], ["Output", "Input"]])
def test_choices_accepts(values: list[str]) -> None:
    assert not list(validate.choices("capture", values, ("Input", "Output")))


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ([], "none"),
        (["Input", "Input"], "Input, Input"),
        (["Input", "Output", "Input"], "Input, Output, Input"),
        (["Inputs"], "Inputs"),
        (["Input", "Other"], "Input, Other"),
        (["Input", "Output", "Other"], "Input, Output, Other"),
    ],
)
def test_choices_refuses(values: list[str], got: str) -> None:
    assert messages(validate.choices("capture", values, ("Input", "Output"))) == [
        f"capture must be one or more of Input, Output, got {got}"
    ]


@pytest.mark.parametrize(
    "values",
    [[], ["text/csv"], ["application/vnd-x.y"], ["a/" + "b" * 254], ["text/csv"] * 10, [TOKEN], [TOKEN * 100]],
)
def test_content_types_accepts(values: list[str]) -> None:
    assert not list(validate.content_types("csv_content_types", values))


@pytest.mark.parametrize(
    "value", ["", "text", "text/", "/csv", "text/csv; header=present", "te.xt/csv", "a/" + "b" * 255]
)
def test_content_types_refuses(value: str) -> None:
    assert messages(validate.content_types("csv_content_types", ["text/csv", value])) == [
        f"csv_content_types must be content types such as 'text/csv', got {value!r}"
    ]


def test_content_types_are_limited() -> None:
    assert messages(validate.content_types("csv_content_types", ["text/csv"] * 11)) == [
        "csv_content_types must be at most 10, got 11"
    ]


def test_destination_is_limited() -> None:
    assert not list(validate.destination("prefix", "s3://b/a"))
    assert not list(validate.destination("prefix", "s3://b/" + "a" * 505))
    assert not list(validate.destination("prefix", f"s3://{TOKEN}/" + "a" * 512))
    assert messages(validate.destination("prefix", "s3://b/" + "a" * 506)) == [
        "prefix must make an S3 URL of at most 512 characters, got 513"
    ]


@pytest.mark.parametrize(("count", "refused"), [(0, True), (1, False), (2, False), (10, False), (11, True)])
def test_rollback_alarms_are_1_to_10(count: int, refused: bool) -> None:
    names = [f"alarm-{number}" for number in range(count)]
    assert (
        messages(validate.rollback_alarms(names)) == [f"an endpoint has 1 to 10 rollback alarms, got {count}"] * refused
    )


def test_rollback_alarms_are_different_ones() -> None:
    assert messages(validate.rollback_alarms(["a", "b", "a"])) == [
        "rollback alarms must be different ones, got 'a' more than once"
    ]


@pytest.mark.parametrize(
    "value",
    [
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint/name",
        f"arn:aws:sagemaker:us-east-1:{TOKEN}:endpoint/{TOKEN}",
        TOKEN,
    ],
)
def test_endpoint_arn_accepts(value: str) -> None:
    assert not list(validate.endpoint_arn("endpoint_arn", value))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "endpoint/name",
        "arn:aws:s3:::bucket",
        "arn:aws:sagemaker:us-east-1:123456789012:model/name",
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/name",
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint/",
        f"arn:aws:sagemaker:us-east-1:{TOKEN}:model/name",
    ],
)
def test_endpoint_arn_refuses(value: str) -> None:
    (problem,) = validate.endpoint_arn("endpoint_arn", value)
    assert problem.startswith("endpoint_arn must be 'arn:aws:sagemaker:us-east-1:123456789012:endpoint/name', got ")


@pytest.mark.parametrize(("value", "refused"), [("ml.t2.medium", True), ("ml.m5.large", False), (TOKEN, False)])
def test_burstable_instances_do_not_scale(value: str, refused: bool) -> None:
    assert len([*validate.scalable("instance_type", value)]) == refused


@pytest.mark.parametrize(("subnets", "groups"), [(1, 1), (2, 2), (16, 5)])
def test_vpc_accepts(subnets: int, groups: int) -> None:
    assert not list(validate.vpc(subnets, groups))


@pytest.mark.parametrize(
    ("subnets", "groups", "problem"),
    [
        (0, 1, "vpc_subnets must select 1 to 16 subnets, got 0"),
        (17, 1, "vpc_subnets must select 1 to 16 subnets, got 17"),
        (1, 0, "security_groups must be 1 to 5, got 0"),
        (1, 6, "security_groups must be 1 to 5, got 6"),
    ],
)
def test_vpc_refuses(subnets: int, groups: int, problem: str) -> None:
    assert messages(validate.vpc(subnets, groups)) == [problem]


def test_what_becomes_of_a_log_group_needs_a_log_group() -> None:
    assert not list(validate.log_group(None, None))
    assert not list(validate.log_group(7, None))
    assert not list(validate.log_group(7, "DESTROY"))
    assert messages(validate.log_group(None, "DESTROY")) == [
        "log_removal_policy needs log_retention, got DESTROY: without it SageMaker makes the log group, outside of the "
        "stack"
    ]


@pytest.mark.parametrize(
    ("value", "maximum", "bounds"),
    [
        (None, 1, None),
        (0, 1, None),
        (0.99, 1, None),
        (NUMBER_TOKEN, 1, None),
        (10_000, None, None),
        (-0.1, 1, "at least 0 and below 1"),
        (1, 1, "at least 0 and below 1"),
        (-1, None, "at least 0"),
    ],
)
def test_a_threshold_is_one_that_can_be_passed(value: float | None, maximum: float | None, bounds: str | None) -> None:
    way_out = "the alarm is raised above it; None leaves it out"
    expected = [] if bounds is None else [f"model_unloads must be {bounds}, got {value}: {way_out}"]
    assert messages(validate.raised_above("model_unloads", value, maximum)) == expected
