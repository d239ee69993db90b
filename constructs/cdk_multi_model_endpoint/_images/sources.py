"""Where images come from: AWS's registries, a URI, a repository or a Dockerfile."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk_multi_model_endpoint._rules import warnings as advise
from cdk_multi_model_endpoint._rules.errors import raise_if_any
from cdk_multi_model_endpoint._rules.places import place_of
from cdk_multi_model_endpoint._rules.tables import AwsImage, aws_accounts, dns_suffix, registry_accounts
from cdk_multi_model_endpoint._rules.tokens import is_token, pseudo_parameter
from multi_model_endpoint.artifacts.findings import Advice, Problem

from .account_table import account_in_any_region
from .traits import published_image


@dataclass(frozen=True)
class BoundImage:
    """An image as the endpoint's stack sees it.

    Attributes:
        uri: What the Model's ``Image`` becomes.
        repository_arn: The one repository that the execution role may pull from; None for a registry other than
            Amazon ECR.
        credentials_provider: The function that gives SageMaker the credentials of such a registry; None for one
            without.
        warnings: What AWS advises against about it, each with the id to acknowledge it by.
    """

    uri: str
    repository_arn: str | None
    credentials_provider: lambda_.IFunction | None = None
    warnings: tuple[Advice, ...] = ()


class AssetOptions(TypedDict, total=False):
    """How ``InferenceImage.from_asset`` builds: the options of the CDK's ``DockerImageAsset``, all optional.

    https://docs.aws.amazon.com/cdk/api/v2/python/aws_cdk.aws_ecr_assets/DockerImageAsset.html
    """

    asset_name: str
    build_args: Mapping[str, str]
    build_contexts: Mapping[str, str]
    build_secrets: Mapping[str, str]
    build_ssh: str
    cache_disabled: bool
    cache_from: Sequence[ecr_assets.DockerCacheOption]
    cache_to: ecr_assets.DockerCacheOption
    display_name: str
    exclude: Sequence[str]
    extra_hash: str
    file: str
    follow_symlinks: cdk.SymlinkFollowMode
    ignore_mode: cdk.IgnoreMode
    invalidation: ecr_assets.DockerImageAssetInvalidationOptions
    network_mode: ecr_assets.NetworkMode
    outputs: Sequence[str]
    platform: ecr_assets.Platform
    target: str


class ImageSource(Protocol):
    """What can name an image to a stack."""

    def bind(self, scope: Construct) -> BoundImage:
        """Resolve the image for the stack that ``scope`` is in."""


@dataclass(frozen=True)
class AwsSource:
    """An image that AWS publishes in an account of its own in every region, or in ``account_id``."""

    registry: str
    repository: str
    tag: str
    account_id: str | None = None

    def bind(self, scope: Construct) -> BoundImage:
        place = place_of(scope)
        region = place.region
        account = self.account_id
        if is_token(region):
            region, suffix = pseudo_parameter("REGION"), pseudo_parameter("URL_SUFFIX")
            account = account or account_in_any_region(scope, place.stack, self.registry, self._regions, self._name)
        else:
            account = account or self._account(scope, region)
            suffix = dns_suffix(region) or pseudo_parameter("URL_SUFFIX")
        return BoundImage(
            f"{account}.dkr.ecr.{region}.{suffix}/{self._name}",
            _repository_arn(region, account, self.repository),
            warnings=tuple(self._warnings()),
        )

    @property
    def _name(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def _published(self) -> AwsImage | None:
        return published_image(self.repository, self.tag)

    @property
    def _regions(self) -> frozenset[str]:
        """The regions that have it, as far as is known."""
        known = None if self._published is None else self._published.regions
        return frozenset(registry_accounts(self.registry)) if known is None else known

    def _account(self, scope: Construct, region: str) -> str:
        if region not in self._regions:
            image = f"image {self._name} is" if self._published else f"AWS's images, such as {self._name}, are"
            found = ", ".join(sorted(self._regions))
            way_out = "pass account_id, the account that has it there, or take another region"
            message = f"{image} not known to be in {region}, but in {found}: {way_out}"
            raise_if_any(scope, [Problem("imageNotInRegion", message)])
        return registry_accounts(self.registry)[region]

    def _warnings(self) -> Iterator[Advice]:
        if is_token(self.tag):
            return
        if self.account_id is None and self._published is None:
            yield from advise.unknown_image(self._name)
        yield from _end_of_patch(self._name, self._published)


@dataclass(frozen=True)
class UriSource:
    """An image that the user names; ``repository`` or ``parts`` says where it is."""

    uri: str
    repository: ecr.IRepository | None
    parts: re.Match[str] | None

    def bind(self, scope: Construct) -> BoundImage:
        if self.parts is not None:
            _check_region(scope, self.uri, self.parts["region"])
        warnings = self._warnings()
        if self.repository is not None:
            return BoundImage(self.uri, self.repository.repository_arn, warnings=warnings)
        assert self.parts is not None  # from_uri demands a repository for a token
        account, region, name = self.parts["account"], self.parts["region"], self.parts["repository"]
        return BoundImage(self.uri, _repository_arn(region, account, name), warnings=warnings)

    def _warnings(self) -> tuple[Advice, ...]:
        if self.parts is None or self.parts["account"] not in aws_accounts():
            return ()
        name, version = self.parts["repository"], self.parts["version"] or ""
        return tuple(_end_of_patch(f"{name}{version}", published_image(name, version[1:])))


@dataclass(frozen=True)
class PrivateRegistrySource:
    """An image in a Docker registry that is reached through the endpoint's VPC."""

    uri: str
    credentials_provider: lambda_.IFunction | None

    def bind(self, scope: Construct) -> BoundImage:
        return BoundImage(self.uri, None, self.credentials_provider)


@dataclass(frozen=True)
class RepositorySource:
    """An image in a repository that the app makes or imports."""

    repository: ecr.IRepository
    tag: str

    def bind(self, scope: Construct) -> BoundImage:
        uri = self.repository.repository_uri_for_tag_or_digest(self.tag)
        region = self.repository.env.region
        if not is_token(region):
            _check_region(scope, uri, region)
        return BoundImage(uri, self.repository.repository_arn)


class AssetSource:
    """An image that the CDK CLI builds and pushes to the bootstrapped repository."""

    def __init__(self, directory: str, options: AssetOptions) -> None:
        self._directory = directory
        self._options = options
        self._bound: dict[Construct, BoundImage] = {}

    def bind(self, scope: Construct) -> BoundImage:
        if scope not in self._bound:
            # jsii takes no mappings but dicts
            options: dict[str, Any] = {
                name: {**value} if isinstance(value, Mapping) else value for name, value in self._options.items()
            }
            asset = ecr_assets.DockerImageAsset(scope, _free_id(scope), directory=self._directory, **options)
            self._bound[scope] = BoundImage(asset.image_uri, asset.repository.repository_arn)
        return self._bound[scope]


def _repository_arn(region: str, account: str, name: str) -> str:
    return f"arn:{pseudo_parameter('PARTITION')}:ecr:{region}:{account}:repository/{name}"


def _end_of_patch(name: str, image: AwsImage | None) -> Iterator[Advice]:
    if image is not None:
        yield from advise.image_past_end_of_patch(name, image.end_of_patch)


def _free_id(scope: Construct) -> str:
    """An id for another image; an asset adds nothing to the template, so that the id is nobody's business."""
    construct_id, count = "Image", 1
    while scope.node.try_find_child(construct_id) is not None:
        count += 1
        construct_id = f"Image{count}"
    return construct_id


def _check_region(scope: Construct, uri: str, image_region: str) -> None:
    region = place_of(scope).region
    if not is_token(region) and image_region != region:
        message = (
            f"image {uri} is in {image_region}, but the endpoint is in {region}: replicate the image to that region"
        )
        raise_if_any(scope, [Problem("wrongRegionOrAccount", message)])
