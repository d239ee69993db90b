"""What SageMaker refuses, and what AWS advises against, checked before anything is deployed.

Pure functions on plain values: each takes the name of the argument and its value, and yields one message per problem.
A value that CloudFormation fills in later is not checked. The limits are those of the API's ``CreateModel``,
``CreateEndpointConfig`` and ``CreateEndpoint``, which neither the resource schemas nor cfn-lint check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from multi_model_endpoint import artifacts as packing
from multi_model_endpoint.artifacts.findings import Problem
from multi_model_endpoint.instances import InstanceType, instance_types

from .tokens import is_token

NAME_MAX = 63
PIPELINE_MAX = 15
ENVIRONMENT_MAX = 100
ENVIRONMENT_TEXT_MAX = 1024
ENVIRONMENT_BYTES_MAX = 32 * 1024
MODEL_DATA_URL_MAX = 1024
TARGET_MODEL_MAX = 1024
VARIANTS_MAX = 10
SUBNETS_MAX = 16
SECURITY_GROUPS_MAX = 5
ROLLBACK_ALARMS_MAX = 10
CONTENT_TYPES_MAX = 10
DESTINATION_MAX = 512

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_ENDPOINT_ARN = re.compile(r"arn:[^:]+:sagemaker:[^:]+:[^:]+:endpoint/[^/:]+")
_ENVIRONMENT_KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_CONTENT_TYPE = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*/[a-zA-Z0-9](-*[a-zA-Z0-9.])*")
# not compiled yet: that takes a tenth of what importing the library does
_UNPRINTABLE = r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_RESERVED = ("SAGEMAKER_MULTI_MODEL",)


def name(argument: str, value: str | None) -> Iterator[Problem]:
    """An endpoint's, variant's or container's name."""
    if value is None or is_token(value):
        return
    if len(value) > NAME_MAX or not _NAME.fullmatch(value):
        yield Problem(
            "invalidName",
            f"{argument} must be 1 to {NAME_MAX} letters, digits and inner hyphens, got {value!r}"
            + (f" ({len(value)} characters)" if len(value) > NAME_MAX else ""),
        )


def endpoint_arn(argument: str, value: str) -> Iterator[Problem]:
    """An endpoint's ARN, of which any part may be a token."""
    if not (is_token(value) and not value.startswith("arn:")) and not _ENDPOINT_ARN.fullmatch(value):
        yield Problem(
            "invalidEndpointArn",
            f"{argument} must be 'arn:aws:sagemaker:us-east-1:123456789012:endpoint/name', got {value!r}",
        )


def log_group(retention: object, removal_policy: object) -> Iterator[Problem]:
    """What becomes of a log group that only SageMaker would make."""
    if retention is None and removal_policy is not None:
        yield Problem(
            "logRetentionMissing",
            f"log_removal_policy needs log_retention, got {removal_policy}: without it SageMaker makes the log group, "
            "outside of the stack",
        )


def at_least(argument: str, value: float, minimum: float) -> Iterator[Problem]:
    """A number with a lower bound."""
    if not is_token(value) and not value >= minimum:
        yield Problem("outOfRange", f"{argument} must be at least {minimum}, got {value}")


def within(argument: str, value: float | None, minimum: float, maximum: float, unit: str) -> Iterator[Problem]:
    """An optional number within bounds."""
    if value is not None and not is_token(value) and not minimum <= value <= maximum:
        yield Problem("outOfRange", f"{argument} must be {minimum} to {maximum} {unit}, got {value}")


def raised_above(argument: str, value: float | None, maximum: float | None = None) -> Iterator[Problem]:
    """The threshold of an alarm on something between 0 and a maximum."""
    if value is None or is_token(value) or (value >= 0 and (maximum is None or value < maximum)):
        return
    bounds = "at least 0" if maximum is None else f"at least 0 and below {maximum}"
    yield Problem(
        "outOfRange", f"{argument} must be {bounds}, got {value}: the alarm is raised above it; None leaves it out"
    )


def percentage(argument: str, value: float) -> Iterator[Problem]:
    """A share of something that can't be none of it."""
    if not is_token(value) and not 0 < value <= 100:
        yield Problem("outOfRange", f"{argument} must be above 0 and at most 100 percent, got {value}")


def capacity(min_capacity: int | None, max_capacity: int | None) -> Iterator[Problem]:
    """The bounds of an instance count."""
    if min_capacity is not None:
        yield from at_least("min_capacity", min_capacity, 1)
    if max_capacity is not None:
        yield from at_least("max_capacity", max_capacity, 1)
    if (
        min_capacity is not None
        and max_capacity is not None
        and not is_token(min_capacity)
        and not is_token(max_capacity)
        and min_capacity > max_capacity
    ):
        yield Problem(
            "minCapacityAboveMax", f"min_capacity must be at most max_capacity, got {min_capacity} and {max_capacity}"
        )


def capacity_around(argument: str, value: int, min_capacity: int, max_capacity: int) -> Iterator[Problem]:
    """Whether an instance count is within the bounds of its scaling."""
    if is_token(value):
        return
    if not is_token(min_capacity) and min_capacity > value:
        yield Problem(
            "instanceCountOutsideCapacity", f"min_capacity must be at most {argument} {value}, got {min_capacity}"
        )
    if not is_token(max_capacity) and max_capacity < value:
        yield Problem(
            "instanceCountOutsideCapacity", f"max_capacity must be at least {argument} {value}, got {max_capacity}"
        )


def environment(argument: str, value: Mapping[str, str]) -> Iterator[Problem]:
    """One container's environment variables."""
    if len(value) > ENVIRONMENT_MAX:
        yield Problem(
            "environmentTooLarge", f"{argument} must have at most {ENVIRONMENT_MAX} entries, got {len(value)}"
        )
    for key, text in value.items():
        if key in _RESERVED:
            yield Problem(
                "reservedVariable",
                f"{argument} must not set {key}: SageMaker sets it itself in every multi-model container",
            )
        if is_token(key):
            continue
        if not isinstance(key, str):
            yield Problem("wrongType", f"{argument} must have strings as names, got {key!r}")
            continue
        if len(key) > ENVIRONMENT_TEXT_MAX or not _ENVIRONMENT_KEY.fullmatch(key):
            yield Problem(
                "invalidVariable",
                f"{argument} must have names of at most {ENVIRONMENT_TEXT_MAX} letters, digits and underscores that "
                f"don't start with a digit, got {key!r}",
            )
        if not isinstance(text, str):
            yield Problem(
                "wrongType",
                f"{argument} must have strings as values, got {text!r} for {key}"
                + ("" if text is None else f": write {str(text)!r}"),
            )
        elif not is_token(text) and len(text) > ENVIRONMENT_TEXT_MAX:
            yield Problem(
                "invalidVariable",
                f"{argument} must have values of at most {ENVIRONMENT_TEXT_MAX} characters, got {len(text)} for {key}",
            )
        elif not is_token(text) and re.search(_UNPRINTABLE, text):
            yield Problem(
                "invalidVariable",
                f"{argument} must have values without control characters, which no template can hold, got {text!r}",
            )


def environments(argument: str, values: Sequence[Mapping[str, str]]) -> Iterator[Problem]:
    """The environment variables of all containers of a model together."""
    size = sum(
        len(f"{key}{text}".encode())
        for value in values
        for key, text in value.items()
        if not is_token(key) and not is_token(text)
    )
    if size > ENVIRONMENT_BYTES_MAX:
        yield Problem(
            "environmentTooLarge", f"{argument} of all containers together must be at most 32 KB, got {size} bytes"
        )


def pipeline(hostnames: Sequence[str | None]) -> Iterator[Problem]:
    """The containers of a serial inference pipeline, the multi-model one included, by their hostnames."""
    if len(hostnames) > PIPELINE_MAX:
        yield Problem(
            "tooManyContainers",
            f"preprocessors and postprocessors must make at most {PIPELINE_MAX} containers with the multi-model one, "
            f"got {len(hostnames)}",
        )
    given = [hostname for hostname in hostnames if hostname is not None]
    if given and len(given) < len(hostnames):
        yield Problem(
            "hostnameMissing",
            f"container_hostname must be given for all {len(hostnames)} containers or for none, got it for "
            f"{len(given)}",
        )
    for hostname in sorted({hostname for hostname in given if given.count(hostname) > 1}):
        yield Problem(
            "duplicateHostname",
            f"container_hostname must be unique within an endpoint, got {hostname!r} more than once",
        )


def instance_type(argument: str, value: str) -> Iterator[Problem]:
    """An instance type's form, and whether it can host a multi-model endpoint at all."""
    if is_token(value):
        return
    if not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9]+", value):
        yield Problem(
            "invalidInstanceType", f"{argument} must be a SageMaker instance type such as 'ml.m5.xlarge', got {value!r}"
        )
    elif (known := instance_types().get(value)) and known.multi_model == "accelerator-unsupported":
        yield Problem(
            "instanceTypeNotSupported",
            f"{argument} must be a CPU or NVIDIA GPU instance type, got {value!r}: multi-model endpoints don't run on "
            "Inferentia, Trainium or Gaudi",
        )


def scalable(argument: str, value: str) -> Iterator[Problem]:
    """Whether an instance type can be autoscaled."""
    if not is_token(value) and re.match(r"ml\.t\d", value):
        yield Problem(
            "burstableNotScalable",
            f"{argument} must not be burstable for autoscaling, got {value!r}: SageMaker scales no such variants; take "
            "another type, such as 'ml.m5.large'",
        )


def architecture(
    argument: str, value: str, image_architecture: str | None, image: str = "the image"
) -> Iterator[Problem]:
    """Whether an image runs on an instance type's processor, where both are known."""
    known = known_instance_type(value)
    if known is None or known.arm64 is None or image_architecture is None:
        return
    of_instance = "arm64" if known.arm64 else "x86_64"
    if of_instance != image_architecture:
        yield Problem(
            "architectureMismatch",
            f"{argument} {value!r} has {of_instance} processors, but {image} is built for {image_architecture}",
        )


def prefix(argument: str, value: str) -> Iterator[Problem]:
    """The S3 prefix under which the models lie."""
    if is_token(value):
        return
    if value.endswith((".tar.gz", ".tar.gz/")):
        yield Problem(
            "invalidPrefix",
            f"{argument} must be a prefix that holds many models, got the object {value!r}: "
            "pass the folder that it is in",
        )
    if not value.strip("/"):
        yield Problem(
            "invalidPrefix",
            f"{argument} must not be empty, got {value!r}: the endpoint may read what is under it, not a whole bucket",
        )
    elif value.startswith("/") or "//" in value:
        yield Problem("invalidPrefix", f"{argument} must not have empty segments, got {value!r}")
    if not re.fullmatch(r"[!-~]*", value) or "*" in value or "?" in value:
        yield Problem("invalidPrefix", f"{argument} must be printable ASCII without blanks, '*' and '?', got {value!r}")


def model_data_url(argument: str, value: str) -> Iterator[Problem]:
    """The length of a ``ModelDataUrl``, tokens aside."""
    if not is_token(value) and len(value) > MODEL_DATA_URL_MAX:
        yield Problem(
            "urlTooLong", f"{argument} must give an S3 URL of at most {MODEL_DATA_URL_MAX} characters, got {len(value)}"
        )


def model_name(argument: str, value: str) -> Iterator[Problem]:
    """A model's name relative to the prefix, without what is added to make it a ``TargetModel``."""
    yield from packing.model_name_problems(argument, value)


def target_model_patterns(values: Sequence[str]) -> Iterator[Problem]:
    """Patterns of target models in a policy."""
    for value in values:
        yield from target_model_pattern(value)


def target_model_pattern(value: str) -> Iterator[Problem]:
    """A pattern of target models in a policy."""
    if is_token(value):
        return
    if not value or len(value) > TARGET_MODEL_MAX:
        yield Problem(
            "invalidTargetModel",
            f"target_models must be patterns of 1 to {TARGET_MODEL_MAX} characters, got {len(value)}",
        )
    elif value.startswith("/"):
        yield Problem(
            "invalidTargetModel",
            f"target_models must be relative to the store's prefix, got {value!r}: it would match nothing, "
            f"write {value.lstrip('/')!r}",
        )
    elif not packing.TARGET_MODEL_PATTERN.fullmatch(value):
        yield Problem(
            "invalidTargetModel",
            f"target_models must be printable ASCII characters that don't start with a blank, got {value!r}",
        )


def target_model(argument: str, value: str) -> Iterator[Problem]:
    """One target model, as it is called."""
    if is_token(value):
        yield Problem("notKnownAtSynth", f"{argument} must be known at synth, got a token")
    elif len(value) > TARGET_MODEL_MAX or value.startswith("/") or not packing.TARGET_MODEL_PATTERN.fullmatch(value):
        yield Problem(
            "invalidTargetModel",
            f"{argument} must be a target model of at most {TARGET_MODEL_MAX} printable ASCII characters, relative to "
            f"the store's prefix, got {value!r}",
        )
    elif "*" in value or "?" in value or "${" in value:
        yield Problem("invalidTargetModel", f"{argument} must be a single target model, got the pattern {value!r}")


def variant_names(names: Sequence[str]) -> Iterator[Problem]:
    """The variants of an endpoint, by name."""
    if len(names) > VARIANTS_MAX:
        yield Problem("tooManyVariants", f"an endpoint has at most {VARIANTS_MAX} variants, got {len(names)}")
    for variant in sorted({variant for variant in names if names.count(variant) > 1}):
        yield Problem(
            "duplicateVariantName", f"variant_name must be unique within an endpoint, got {variant!r} a second time"
        )


def weights(values: Sequence[float]) -> Iterator[Problem]:
    """The weights of all variants together."""
    if not any(is_token(value) or value > 0 for value in values):
        yield Problem(
            "weightsAllZero",
            "initial_variant_weight must be above 0 for at least one variant: otherwise none gets traffic",
        )


def encryption_key(argument: str, value: str) -> Iterator[Problem]:
    """Whether an instance type has a volume that a key could encrypt."""
    known = known_instance_type(value)
    if known is not None and known.local_storage:
        yield Problem(
            "encryptionKeyOnLocalStorage",
            f"encryption_key must not be given with {argument} {value!r}: its local NVMe storage is encrypted by the "
            "hardware, and SageMaker refuses a key",
        )


def choices(argument: str, values: Sequence[str], known: Sequence[str]) -> Iterator[Problem]:
    """Values out of a list, each once, and one at least."""
    if not values or any(value not in known for value in values) or len(set(values)) < len(values):
        yield Problem(
            "unknownValue",
            f"{argument} must be one or more of {', '.join(known)}, got {', '.join(map(str, values)) or 'none'}",
        )


def content_types(argument: str, values: Sequence[str]) -> Iterator[Problem]:
    """Content types of captured data."""
    if is_token(values):
        return
    if len(values) > CONTENT_TYPES_MAX:
        yield Problem("tooManyContentTypes", f"{argument} must be at most {CONTENT_TYPES_MAX}, got {len(values)}")
    for value in values:
        if not is_token(value) and (len(value) > 256 or not _CONTENT_TYPE.fullmatch(value)):
            yield Problem("invalidContentType", f"{argument} must be content types such as 'text/csv', got {value!r}")


def destination(argument: str, url: str) -> Iterator[Problem]:
    """Where instances write to."""
    if not is_token(url) and len(url) > DESTINATION_MAX:
        yield Problem(
            "urlTooLong", f"{argument} must make an S3 URL of at most {DESTINATION_MAX} characters, got {len(url)}"
        )


def rollback_alarms(names: Sequence[str]) -> Iterator[Problem]:
    """The alarms that roll an update back."""
    if not 1 <= len(names) <= ROLLBACK_ALARMS_MAX:
        yield Problem(
            "rollbackAlarmCount", f"an endpoint has 1 to {ROLLBACK_ALARMS_MAX} rollback alarms, got {len(names)}"
        )
    for alarm in sorted({alarm for alarm in names if names.count(alarm) > 1}):
        yield Problem("duplicateRollbackAlarm", f"rollback alarms must be different ones, got {alarm!r} more than once")


def vpc(subnet_count: int, security_group_count: int) -> Iterator[Problem]:
    """The network of a model."""
    if not 1 <= subnet_count <= SUBNETS_MAX:
        yield Problem("invalidVpcSelection", f"vpc_subnets must select 1 to {SUBNETS_MAX} subnets, got {subnet_count}")
    if not 1 <= security_group_count <= SECURITY_GROUPS_MAX:
        yield Problem(
            "invalidVpcSelection", f"security_groups must be 1 to {SECURITY_GROUPS_MAX}, got {security_group_count}"
        )


def object_key(argument: str, prefix: str, target_model: str) -> Iterator[Problem]:
    """The length of a model's key in S3, and so of its ``TargetModel``."""
    length = len(target_model) if is_token(prefix) else len(prefix) + len(target_model)
    yield from packing.object_key_problems(argument, length)


def known_instance_type(value: str) -> InstanceType | None:
    """What is known of an instance type; None for a token, or a type newer than the table."""
    return None if is_token(value) else instance_types().get(value)


def object_url(argument: str, value: str | None) -> Iterator[Problem]:
    """The artifact of a container with a single model."""
    if value is None:
        return
    yield from model_data_url(argument, value)
    bucket, slash, key = value.removeprefix("s3://").partition("/")
    if not (value.startswith("s3://") and bucket and slash and key):
        yield Problem(
            "invalidModelDataUrl",
            f"{argument} must be 's3://bucket/key.tar.gz', got {value!r}: the permission to read it is granted on that "
            "bucket and key (either may be a token)",
        )
