"""Inference images: AWS's own by region, or any image in Amazon ECR."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import region_info
from constructs import Construct

from ._errors import raise_if_any
from ._tables import Family, Tag, families, registry_accounts
from ._tokens import is_token

Architecture = Literal["x86_64", "arm64"]

_TRITON = "sagemaker-tritonserver"
_ALGORITHMS = ("knn", "linear-learner", "randomcutforest", "sklearn", "xgboost")
_ECR_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z0-9.-]+/"
    r"(?P<repository>[a-z0-9]+(?:[._/-][a-z0-9]+)*)(?P<version>:[\w.-]{1,128}|@sha256:[0-9a-f]{64})?"
)
_URI_MAX = 255


@dataclass(frozen=True)
class BoundImage:
    """An image as the endpoint's stack sees it.

    Attributes:
        uri: What the Model's ``Image`` becomes.
        repository_arn: The one repository that the execution role may pull from.
    """

    uri: str
    repository_arn: str


class InferenceImage(ABC):
    """The container image that serves the models.

    It must speak SageMaker's multi-model contract and carry the label
    ``com.amazonaws.sagemaker.capabilities.multi-models=true``; AWS's images made here do. Images are pulled from the
    endpoint's own region, and the execution role gets pull permission on the image's repository alone.

    https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-support.html

    Attributes:
        family: AWS's name of the image family, or None for any other image.
        gpu: Whether the image is built for GPUs; None when that is not known.
        architecture: The image's processor architecture; None when that is not known.
    """

    family: str | None = None
    gpu: bool | None = None
    architecture: Architecture | None = None

    @abstractmethod
    def bind(self, scope: Construct) -> BoundImage:
        """Resolve the image for the region of the stack that ``scope`` is in.

        Raises:
            InvalidEndpointError: If AWS does not have the image in that region.
        """

    @staticmethod
    def built_in(algorithm: str, version: str | None = None) -> InferenceImage:
        """AWS's image of a built-in algorithm or of scikit-learn.

        Example:
            ```python
            InferenceImage.built_in("xgboost", "3.2-0")
            ```

        Args:
            algorithm: ``knn``, ``linear-learner``, ``randomcutforest``, ``sklearn`` or ``xgboost``.
            version: The image's version, as in ``image_uris.retrieve``. May be left out where AWS has a single one:
                otherwise an upgrade of this library would change the image of a live endpoint.

        Raises:
            InvalidEndpointError: If the algorithm or its version is not known, or the version is missing.

        https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html
        """
        where = "InferenceImage.built_in"
        if algorithm not in _ALGORITHMS:
            raise_if_any(where, [f"algorithm must be one of {', '.join(_ALGORITHMS)}, got {algorithm!r}"])
        family = families()[algorithm]
        if version is None:
            if len(family.versions) > 1:
                newest_first = ", ".join(reversed(family.versions))
                raise_if_any(where, [f"version is required for {algorithm}: choose one of {newest_first}"])
            (version,) = family.versions
        return _RegionalImage(algorithm, family, _find(where, "version", algorithm, version), gpu=False)

    @staticmethod
    def triton(tag: str, *, cpu: bool = False) -> InferenceImage:
        """NVIDIA Triton Inference Server, AWS's image for multi-model endpoints on GPUs.

        Args:
            tag: The release, such as ``24.09-py3`` (or ``24.09``).
            cpu: Take the image without CUDA, for CPU instance types.

        Raises:
            InvalidEndpointError: If the release is not known.

        https://docs.aws.amazon.com/sagemaker/latest/dg/deploy-models-frameworks-triton.html
        """
        release = _find("InferenceImage.triton", "tag", _TRITON, tag.removesuffix("-py3"))
        if cpu:
            release = Tag(f"{release.name}-cpu", release.missing_regions)
        return _RegionalImage(_TRITON, families()[_TRITON], release, gpu=not cpu)

    @staticmethod
    def from_uri(uri: str, *, repository: ecr.IRepository | None = None) -> InferenceImage:
        """Any image in Amazon ECR, by its URI.

        Args:
            uri: ``{account}.dkr.ecr.{region}.{suffix}/{repository}:{tag}`` (or ``@sha256:…``), at most 255 characters.
            repository: Where the image is. Left out, it is read from the URI; required when the URI is a token.

        Raises:
            InvalidEndpointError: If the URI is not that of an image in ECR, or is a token and no repository is given.
        """
        where = "InferenceImage.from_uri"
        if is_token(uri):
            if repository is None:
                raise_if_any(where, ["repository is required when uri is a token: pulling is granted on it"])
            return _UriImage(uri, repository, None)
        match = _ECR_URI.fullmatch(uri)
        if match is None or len(uri) > _URI_MAX:
            raise_if_any(
                where,
                [
                    f"uri must be an image in Amazon ECR, '123456789012.dkr.ecr.us-east-1.amazonaws.com/name:tag', "
                    f"in at most {_URI_MAX} characters, got {uri!r}: SageMaker pulls from ECR, so push the image there"
                ],
            )
        return _UriImage(uri, repository, match)


def _find(where: str, argument: str, family: str, version: str) -> Tag:
    versions = families()[family].versions
    if version not in versions:
        known = ", ".join(reversed(versions))
        raise_if_any(
            where,
            [
                f"{argument} must be one of {known} for {family}, got {version!r}; "
                "for an image that is newer than this library use InferenceImage.from_uri"
            ],
        )
    return versions[version]


class _RegionalImage(InferenceImage):
    """An image that AWS publishes in an account of its own in every region."""

    def __init__(self, family_name: str, family: Family, tag: Tag, *, gpu: bool) -> None:
        self.family = family_name
        self.gpu = gpu
        self.architecture = "x86_64"
        self._family = family
        self._tag = tag

    def bind(self, scope: Construct) -> BoundImage:
        stack = cdk.Stack.of(scope)
        region = stack.region
        if is_token(region):
            region, suffix = cdk.Aws.REGION, cdk.Aws.URL_SUFFIX
            account = _account_table(stack, self._family.registry).find_in_map(region, "account")
        else:
            accounts = registry_accounts(self._family.registry)
            supported = sorted(accounts.keys() - self._tag.missing_regions)
            if region not in supported:
                raise_if_any(
                    scope,
                    [
                        f"image {self._family.repository}:{self._tag.name} is not published in {region}; "
                        f"it is in {', '.join(supported)}"
                    ],
                )
            account = accounts[region]
            suffix = region_info.RegionInfo.get(region).domain_suffix or cdk.Aws.URL_SUFFIX
        repository = self._family.repository
        return BoundImage(
            f"{account}.dkr.ecr.{region}.{suffix}/{repository}:{self._tag.name}",
            f"arn:{cdk.Aws.PARTITION}:ecr:{region}:{account}:repository/{repository}",
        )


class _UriImage(InferenceImage):
    """An image that the user names."""

    def __init__(self, uri: str, repository: ecr.IRepository | None, parts: re.Match[str] | None) -> None:
        self._uri = uri
        self._repository = repository
        self._parts = parts
        if parts and parts["repository"].endswith(_TRITON):
            self.family = _TRITON
            self.gpu = not (parts["version"] or "").endswith("-cpu")

    def bind(self, scope: Construct) -> BoundImage:
        if self._parts is not None:
            region = cdk.Stack.of(scope).region
            if not is_token(region) and self._parts["region"] != region:
                raise_if_any(
                    scope,
                    [
                        f"image {self._uri} is in {self._parts['region']}, but the endpoint is in {region}: "
                        "replicate the image to that region"
                    ],
                )
        if self._repository is not None:
            return BoundImage(self._uri, self._repository.repository_arn)
        assert self._parts is not None  # from_uri demands a repository for a token
        account, image_region, name = self._parts["account"], self._parts["region"], self._parts["repository"]
        return BoundImage(self._uri, f"arn:{cdk.Aws.PARTITION}:ecr:{image_region}:{account}:repository/{name}")


def _account_table(stack: cdk.Stack, registry: str) -> cdk.CfnMapping:
    """The stack's one mapping from region to registry account, for stacks that can go to any region."""
    construct_id = f"SageMaker{registry.capitalize()}Accounts"
    existing = stack.node.try_find_child(construct_id)
    if existing is not None:
        assert isinstance(existing, cdk.CfnMapping)
        return existing
    accounts = registry_accounts(registry)
    return cdk.CfnMapping(stack, construct_id, mapping={region: {"account": accounts[region]} for region in accounts})
