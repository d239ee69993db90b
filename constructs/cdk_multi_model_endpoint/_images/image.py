"""Inference images: AWS's own by region, or any image in Amazon ECR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, Unpack, get_args

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk_multi_model_endpoint._rules.errors import InvalidEndpointError, raise_if_any
from cdk_multi_model_endpoint._rules.kinds import checked
from cdk_multi_model_endpoint._rules.tables import Architecture, aws_accounts, aws_images
from cdk_multi_model_endpoint._rules.tokens import is_token
from multi_model_endpoint.artifacts.findings import Problem

from .sources import (
    AssetOptions,
    AssetSource,
    AwsSource,
    BoundImage,
    ImageSource,
    PrivateRegistrySource,
    RepositorySource,
    UriSource,
)
from .traits import TRITON, ImageTraits, traits_of_any, traits_of_aws, traits_of_published

_ALGORITHMS = ("knn", "linear-learner", "randomcutforest", "sklearn", "xgboost")
_REPOSITORY = r"[a-z0-9]+(?:[._/-][a-z0-9]+)*"
_TAG = r"\w[\w.-]{0,127}"
_VERSION = r"\d+(\.\d+)*(-\d+)?(-py\d+)?"
_TRITON_TAG = r"\d{2}\.(0[1-9]|1[0-2])(-py3(-cpu)?)?"
_DIGEST = r"sha256:[0-9a-f]{64}"
_ECR_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z0-9.-]+/"
    rf"(?P<repository>{_REPOSITORY})(?P<version>:{_TAG}|@{_DIGEST})?"
)
_URI_MAX = 255


class InferenceImage:
    """The container image that serves the models.

    It must speak SageMaker's multi-model contract and carry the label
    ``com.amazonaws.sagemaker.capabilities.multi-models=true``; an image that is known not to is warned of. Images are
    pulled from the endpoint's own region, and the execution role gets pull permission on the image's repository alone.

    https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-support.html

    Attributes:
        family: The SageMaker SDK's name of the image family, or None for any other image.
        gpu: Whether the image is built for GPUs; None when that is not known.
        architecture: The image's processor architecture, ``x86_64`` or ``arm64``; None when that is not known.
        multi_model: Whether the image has the label; None when that is not known.
    """

    family: str | None
    gpu: bool | None
    architecture: Architecture | None
    multi_model: bool | None

    def __init__(self, source: ImageSource, traits: ImageTraits) -> None:
        self.family = traits.family
        self.gpu = traits.gpu
        self.architecture = traits.architecture
        self.multi_model = traits.multi_model
        self._source = source

    def bind(self, scope: Construct) -> BoundImage:
        """Resolve the image for the region of the stack that ``scope`` is in.

        Raises:
            InvalidEndpointError: If the image is not in that region, or not known to be and no account is given.
        """
        return self._source.bind(scope)

    @staticmethod
    @checked
    def built_in(
        algorithm: str,
        version: str | None = None,
        *,
        architecture: Architecture = "x86_64",
        account_id: str | None = None,
    ) -> InferenceImage:
        """AWS's image of a built-in algorithm or of scikit-learn.

        Example:
            ```python
            InferenceImage.built_in("xgboost", "3.2-0")
            ```

        A version that this library does not know passes with the warning ``unknownImage``, one that AWS no longer
        patches with ``imagePastEndOfPatch``. In a region-agnostic stack the account is looked up at deployment, which
        fails in a region that this library does not know to have the image, unless ``account_id`` is given.

        Args:
            algorithm: ``knn``, ``linear-learner``, ``randomcutforest``, ``sklearn`` or ``xgboost``.
            version: The image's version, as in ``image_uris.retrieve``. May be left out where AWS has a single one:
                otherwise an upgrade of this library would change the image of a live endpoint.
            architecture: ``arm64`` for AWS Graviton instances, for which AWS has few of the versions.
            account_id: The account that has the image. Left out, AWS's, by the region of the stack; required in a
                region that this library does not know to have it.

        Raises:
            InvalidEndpointError: If there is no such algorithm, the version is missing, or it is none.

        https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html
        """
        where = "InferenceImage.built_in"
        if architecture not in get_args(Architecture):
            _refuse(
                where,
                "unknownValue",
                f"architecture must be one of {', '.join(get_args(Architecture))}, got {architecture!r}",
            )
        family = [image for image in aws_images() if image.family == algorithm]
        if algorithm not in _ALGORITHMS:
            way_out = ""
            if family:
                # on GPUs AWS documents Triton alone
                fitting = [image for image in family if image.architecture == architecture and not image.gpu]
                newest = (fitting or family)[-1]
                way_out = f'; for {algorithm} use InferenceImage.from_dlc("{newest.repository}", "{newest.tag}")'
            _refuse(
                where, "unknownValue", f"algorithm must be one of {', '.join(_ALGORITHMS)}, got {algorithm!r}{way_out}"
            )
        versions = [*dict.fromkeys(image.version for image in reversed(family))]
        if version is None:
            if len(versions) > 1:
                _refuse(
                    where,
                    "imageVersionMissing",
                    f"version is required for {algorithm}: choose one of {', '.join(versions)}",
                )
            (version,) = versions
        elif not is_token(version) and not _fits(_VERSION, version):
            _refuse(
                where,
                "invalidImageName",
                f"version must be one such as {', '.join(versions[:3])} for {algorithm}, got {version!r}",
            )
        _check_account(where, account_id)
        for image in family:
            if (image.version, image.architecture) == (version, architecture):
                return _of_aws(image.registry, image.repository, image.tag, account_id, traits_of_published(image))
        tag = f"{version}-arm64" if architecture == "arm64" else version
        if algorithm == "sklearn":
            tag += "-cpu-py3"
        traits = ImageTraits(algorithm, gpu=False, architecture=architecture)
        return _of_aws(family[-1].registry, family[-1].repository, tag, account_id, traits)

    @staticmethod
    @checked
    def triton(tag: str, *, cpu: bool | None = None, account_id: str | None = None) -> InferenceImage:
        """NVIDIA Triton Inference Server, AWS's image for multi-model endpoints on GPUs.

        A release that this library does not know passes with the warning ``unknownImage``; see ``built_in`` for stacks
        without a region. Releases from 25.01 on need a newer host on GPUs than SageMaker's default, see
        ``inference_ami_version`` of ``MultiModelEndpoint``. AWS names no end of patch for Triton: take a recent one.

        Args:
            tag: The release, such as ``26.05``, ``26.05-py3`` or ``26.05-py3-cpu``. A token is the whole tag.
            cpu: Whether to take the image without CUDA, for CPU instance types. Left out, the tag says so.
            account_id: The account that has the image, as for ``built_in``.

        Raises:
            InvalidEndpointError: If the tag is none of a release, or ends in ``-cpu`` where ``cpu`` is false.

        https://docs.aws.amazon.com/sagemaker/latest/dg/deploy-models-frameworks-triton.html
        """
        where = "InferenceImage.triton"
        _check_account(where, account_id)
        if is_token(tag):
            return _of_aws("dlc", TRITON, tag, account_id, ImageTraits(TRITON, gpu=None if cpu is None else not cpu))
        if not _fits(_TRITON_TAG, tag):
            _refuse(
                where,
                "invalidImageName",
                f"tag must be a release such as '26.05', '26.05-py3' or '26.05-py3-cpu', got {tag!r}",
            )
        if cpu is False and tag.endswith("-cpu"):
            _refuse(where, "cpuTagConflict", f"cpu must be true or left out for the tag {tag!r}, got {cpu}")
        suffix = "-py3-cpu" if cpu or tag.endswith("-cpu") else "-py3"
        full_tag = tag[: len("26.05")] + suffix
        return _of_aws("dlc", TRITON, full_tag, account_id, traits_of_aws(TRITON, full_tag))

    @staticmethod
    @checked
    def from_dlc(repository_name: str, tag: str, account_id: str | None = None) -> InferenceImage:
        """One of the AWS Deep Learning Containers: PyTorch, TensorFlow, MXNet, Hugging Face, DJL or any other.

        Example:
            ```python
            InferenceImage.from_dlc("tensorflow-inference", "2.20.0-cpu-py312")
            ```

        Unlike the CDK's own table, ours has the accounts of GovCloud, of China and of the isolated regions. A tag that
        this library does not know is taken as it is, with the warning ``unknownImage``; see ``built_in``.

        Args:
            repository_name: The repository, such as ``tensorflow-inference``.
            tag: The tag, such as ``2.20.0-cpu-py312``; it may be a token.
            account_id: The account that has the images, as for ``built_in``.

        Raises:
            InvalidEndpointError: If these are not names in Amazon ECR.

        https://aws.github.io/deep-learning-containers/
        """
        where = "InferenceImage.from_dlc"
        problems = []
        if is_token(repository_name) or not _fits(_REPOSITORY, repository_name):
            problems.append(
                Problem("invalidImageName", f"repository_name must be that of a repository, got {repository_name!r}")
            )
        if not is_token(tag) and not _fits(_TAG, tag):
            problems.append(
                Problem("invalidImageName", f"tag must be 1 to 128 letters, digits, '_', '.' and '-', got {tag!r}")
            )
        problems += _account_problems(account_id)
        raise_if_any(where, problems)
        traits = ImageTraits() if is_token(tag) else traits_of_aws(repository_name, tag)
        registry = next((image.registry for image in aws_images() if image.repository == repository_name), "dlc")
        return _of_aws(registry, repository_name, tag, account_id, traits)

    @staticmethod
    @checked
    def from_ecr_repository(repository: ecr.IRepository, tag: str = "latest") -> InferenceImage:
        """An image in a repository that the app makes or imports.

        Args:
            repository: The repository, in the endpoint's region. One in another account must allow the execution role
                to pull in its own policy.
            tag: The tag, or the digest ``sha256:…``. A live endpoint does not notice that a tag has moved: its new
                instances would serve with another image than its old ones, so prefer tags that don't move.

        Raises:
            InvalidEndpointError: If the tag is neither.

        https://docs.aws.amazon.com/sagemaker/latest/dg/build-multi-model-build-container.html
        """
        if not is_token(tag) and not re.fullmatch(f"{_TAG}|{_DIGEST}", tag):
            _refuse(
                "InferenceImage.from_ecr_repository",
                "invalidImageName",
                f"tag must be 1 to 128 letters, digits, '_', '.' and '-', or a digest 'sha256:…', got {tag!r}",
            )
        name = repository.repository_name
        traits = ImageTraits() if is_token(name) else traits_of_any(name, tag)
        return InferenceImage(RepositorySource(repository, tag), traits)

    @staticmethod
    @checked
    def from_asset(directory: str | Path, **options: Unpack[AssetOptions]) -> InferenceImage:
        """An image that the CDK CLI builds from a Dockerfile at deployment.

        Args:
            directory: Where the Dockerfile and what it copies are.
            **options: As for the CDK's ``DockerImageAsset``: ``build_args``, ``file``, ``platform``, ``target`` and
                others, see ``AssetOptions``. Give the ``platform``, or a Mac builds for arm64.

        Raises:
            InvalidEndpointError: If the directory has no Dockerfile.

        https://docs.aws.amazon.com/sagemaker/latest/dg/build-multi-model-build-container.html
        """
        dockerfile = Path(directory, options.get("file") or "Dockerfile")
        if not dockerfile.is_file():
            _refuse(
                "InferenceImage.from_asset",
                "sourceNotFound",
                f"directory must have the file {dockerfile.name!r}, got {str(directory)!r}",
            )
        platforms: dict[str, Architecture] = {"linux/amd64": "x86_64", "linux/arm64": "arm64"}
        platform = options.get("platform")
        architecture = None if platform is None else platforms.get(platform.platform)
        return InferenceImage(AssetSource(str(directory), options), ImageTraits(architecture=architecture))

    @staticmethod
    @checked
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
                _refuse(
                    where, "repositoryMissing", "repository is required when uri is a token: pulling is granted on it"
                )
            return InferenceImage(UriSource(uri, repository, None), ImageTraits())
        match = _ECR_URI.fullmatch(uri)
        if match is None or len(uri) > _URI_MAX:
            _refuse(
                where,
                "invalidImageName",
                f"uri must be an image in Amazon ECR, '123456789012.dkr.ecr.us-east-1.amazonaws.com/name:tag', "
                f"in at most {_URI_MAX} characters, got {uri!r}: SageMaker pulls from ECR, so push the image there",
            )
        traits_of = traits_of_aws if match["account"] in aws_accounts() else traits_of_any
        return InferenceImage(
            UriSource(uri, repository, match), traits_of(match["repository"], (match["version"] or "")[1:])
        )

    @staticmethod
    @checked
    def from_private_registry(uri: str, *, credentials_provider: lambda_.IFunction | None = None) -> InferenceImage:
        """An image in a Docker registry of your own, which the endpoint's VPC reaches.

        Args:
            uri: ``host/name:tag``, at most 255 characters without blanks.
            credentials_provider: A function that answers the registry's credentials; the execution role may invoke it.
                Left out, the registry asks for none.

        Raises:
            InvalidEndpointError: If the URI is none, or the endpoint that the image is for has no ``vpc``.

        https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-containers-inference-private.html
        """
        if not is_token(uri) and (len(uri) > _URI_MAX or not re.fullmatch(r"[^\s/]+/\S+", uri)):
            problem = f"uri must be 'host/name:tag' without blanks, in at most {_URI_MAX} characters, got {uri!r}"
            _refuse("InferenceImage.from_private_registry", "invalidImageName", problem)
        return InferenceImage(PrivateRegistrySource(uri, credentials_provider), ImageTraits())


def _of_aws(registry: str, repository: str, tag: str, account_id: str | None, traits: ImageTraits) -> InferenceImage:
    return InferenceImage(AwsSource(registry, repository, tag, account_id), traits)


def _fits(pattern: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _account_problems(account_id: str | None) -> Iterator[Problem]:
    if account_id is not None and not is_token(account_id) and not _fits(r"\d{12}", account_id):
        yield Problem("invalidImageName", f"account_id must be 12 digits, got {account_id!r}")


def _check_account(where: str, account_id: str | None) -> None:
    raise_if_any(where, _account_problems(account_id))


def _refuse(where: str, rule: str, message: str) -> NoReturn:
    raise InvalidEndpointError(where, [Problem(rule, message)])
