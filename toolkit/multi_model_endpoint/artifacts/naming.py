"""What a model is called in S3, and so in ``TargetModel``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .findings import Problem

DIGEST_LENGTH = 8
OBJECT_KEY_MAX = 1024

ENDING = rf"-[0-9a-f]{{{DIGEST_LENGTH}}}\.tar\.gz"
"""What ``target_model`` puts behind a model's name, as a regular expression."""

TARGET_MODEL_PATTERN = re.compile(r"[!-~][ -~]*")
"""The names that we give, and patterns of them: the API takes printable characters beyond ASCII, too."""


def target_model(name: str, digest: str) -> str:
    """The name of a model's archive: AWS advises never to overwrite one, so it follows the content."""
    return f"{name}-{digest[:DIGEST_LENGTH]}.tar.gz"


def model_name_problems(argument: str, value: str) -> Iterator[Problem]:
    """What is wrong with a name relative to the prefix, without what is added to make it a ``TargetModel``."""
    if not TARGET_MODEL_PATTERN.fullmatch(value):
        yield Problem(
            "invalidModelName",
            f"{argument} must be printable ASCII characters that don't start with a blank, got {value!r}",
        )
    elif any(part in ("", ".", "..") for part in value.split("/")):
        yield Problem(
            "invalidModelName",
            f"{argument} must be a relative path such as 'resnet' or 'tenant_a/resnet', got {value!r}",
        )
    elif value.endswith(".tar.gz"):
        yield Problem(
            "invalidModelName",
            f"{argument} must not end in '.tar.gz', got {value!r}: the archive's name is made from it and its content",
        )


def object_key_problems(argument: str, length: int) -> Iterator[Problem]:
    """Whether the key of a model's object is one that S3 and ``TargetModel`` take."""
    if length > OBJECT_KEY_MAX:
        yield Problem(
            "urlTooLong",
            f"{argument} must leave the object's key, '{{prefix}}{{name}}-{{hash}}.tar.gz', at most {OBJECT_KEY_MAX} "
            f"characters, got {length}",
        )
