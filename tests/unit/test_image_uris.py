"""Every URI that we can make, in every region, against what AWS's own SDKs return (scripts/make_uri_vectors.py)."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from functools import cache
from pathlib import Path

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint import InferenceImage
from cdk_multi_model_endpoint._rules.tables import AwsImage, aws_images

VECTORS: dict[str, dict[str, list[str]]] = json.loads(
    gzip.decompress((Path(__file__).parent / "data" / "image_uris.json.gz").read_bytes())
)
NO_SUCH_REGION = ".me-west-1."


@cache
def stack_in(region: str) -> cdk.Stack:
    return cdk.Stack(cdk.App(), "Stack", env=cdk.Environment(account="123456789012", region=region))


def by_name(image: AwsImage) -> InferenceImage:
    """The image as a user asks for it."""
    if image.family == "sagemaker-tritonserver":
        return InferenceImage.triton(image.version, cpu=not image.gpu)
    if image.registry == "dlc":
        return InferenceImage.from_dlc(image.repository, image.tag)
    return InferenceImage.built_in(image.family, image.version, architecture=image.architecture)


@pytest.fixture(scope="module")
def ours() -> dict[str, set[str]]:
    """Our URIs, by what the SDK calls their image."""
    uris: dict[str, set[str]] = defaultdict(set)
    sdk_names = {name for part in VECTORS.values() for name in part}
    for image in aws_images():
        if image.regions is None:  # from AWS's list, which the SDK lags behind
            continue
        processors = ("gpu" if image.gpu else "cpu", "none")
        names = [f"{image.family} {image.version} {processor} {image.architecture}" for processor in processors]
        (name,) = sdk_names.intersection(names)
        asked_for = by_name(image)
        uris[name].update(asked_for.bind(stack_in(region)).uri for region in image.regions)
    return uris


@pytest.mark.parametrize("sdk", VECTORS)
def test_equals_the_sdk(sdk: str, ours: dict[str, set[str]], capsys: pytest.CaptureFixture[str]) -> None:
    theirs = {name: {uri for uri in uris if NO_SUCH_REGION not in uri} for name, uris in VECTORS[sdk].items()}
    assert {
        name: uris - ours.get(name, set()) for name, uris in theirs.items() if not uris <= ours.get(name, set())
    } == {}
    count = sum(map(len, theirs.values()))
    with capsys.disabled():
        print(f"\n{sdk}: compared {count} URIs of {len(theirs)} images")
    assert count > 9000


def test_makes_no_uri_that_the_newest_sdk_does_not_return(ours: dict[str, set[str]]) -> None:
    (newest,) = (part for sdk, part in VECTORS.items() if sdk.startswith("sagemaker-core "))
    assert {name: uris - set(newest[name]) for name, uris in ours.items() if not uris <= set(newest[name])} == {}
