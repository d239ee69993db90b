"""Image URIs: what the SageMaker SDK's ``image_uris.retrieve`` gives, in every region."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk.assertions import Annotations, Match, Template

from cdk_multi_model_endpoint import AssetOptions, InferenceImage, InvalidEndpointError, PipelineContainer
from cdk_multi_model_endpoint._rules import warnings as _warnings

from .conftest import MakeEndpoint


def uri(image: InferenceImage, region: str) -> str:
    stack = cdk.Stack(cdk.App(), "Stack", env=cdk.Environment(account="123456789012", region=region))
    return image.bind(stack).uri


@pytest.mark.parametrize(
    ("image", "region", "expected"),
    [
        (InferenceImage.built_in("knn"), "us-west-2", "174872318107.dkr.ecr.us-west-2.amazonaws.com/knn:1"),
        (
            InferenceImage.built_in("linear-learner", "1"),
            "us-west-2",
            "174872318107.dkr.ecr.us-west-2.amazonaws.com/linear-learner:1",
        ),
        (
            InferenceImage.built_in("xgboost", "1.7-1"),
            "us-west-2",
            "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1",
        ),
        (
            InferenceImage.built_in("xgboost", "1.0-1"),
            "us-west-2",
            "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.0-1-cpu-py3",
        ),
        (
            InferenceImage.built_in("xgboost", "1.7-1"),
            "cn-north-1",
            "450853457545.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-xgboost:1.7-1",
        ),
        (
            InferenceImage.built_in("sklearn", "1.2-1"),
            "us-west-2",
            "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
        ),
        (
            InferenceImage.triton("25.09-py3"),
            "us-west-2",
            "763104351884.dkr.ecr.us-west-2.amazonaws.com/sagemaker-tritonserver:25.09-py3",
        ),
        (
            InferenceImage.triton("25.09", cpu=True),
            "us-west-2",
            "763104351884.dkr.ecr.us-west-2.amazonaws.com/sagemaker-tritonserver:25.09-py3-cpu",
        ),
        (
            InferenceImage.triton("24.09-py3"),
            "cn-north-1",
            "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-tritonserver:24.09-py3",
        ),
    ],
)
def test_equals_the_sdks(image: InferenceImage, region: str, expected: str) -> None:
    assert uri(image, region) == expected


def test_names_the_repository_to_pull_from(stack: cdk.Stack) -> None:
    image = InferenceImage.built_in("xgboost", "3.2-0").bind(stack)
    assert stack.resolve(image.repository_arn) == {
        "Fn::Join": [
            "",
            ["arn:", {"Ref": "AWS::Partition"}, ":ecr:us-west-2:246618743249:repository/sagemaker-xgboost"],
        ]
    }


def test_looks_a_region_agnostic_stack_up_at_deployment() -> None:
    stack = cdk.Stack(cdk.App(), "Stack")
    image = InferenceImage.triton("24.09").bind(stack)
    account = {"Fn::FindInMap": ["SageMakerDlcAccounts", {"Ref": "AWS::Region"}, "account"]}
    assert stack.resolve(image.uri) == {
        "Fn::Join": [
            "",
            [
                account,
                ".dkr.ecr.",
                {"Ref": "AWS::Region"},
                ".",
                {"Ref": "AWS::URLSuffix"},
                "/sagemaker-tritonserver:24.09-py3",
            ],
        ]
    }


@pytest.mark.parametrize(
    ("image", "region"),
    [
        (InferenceImage.triton("25.09"), "cn-north-1"),
        (InferenceImage.triton("24.09"), "us-gov-west-1"),
        (InferenceImage.built_in("knn"), "mars-north-1"),
        (InferenceImage.triton("22.07"), "mars-north-1"),
    ],
)
def test_refuses_a_region_without_the_image_and_lists_the_others(image: InferenceImage, region: str) -> None:
    with pytest.raises(
        InvalidEndpointError, match=rf"not known to be in {region}, but in .*us-east-1.*: pass account_id"
    ):
        uri(image, region)


@pytest.mark.parametrize(
    ("algorithm", "version", "problem"),
    [
        ("blazingtext", None, "algorithm must be one of knn, linear-learner"),
        ("xgboost", None, "version is required for xgboost: choose one of 3.2-0"),
        ("xgboost", "", "version must be one such as 3.2-0"),
        ("xgboost", "3.2-0-cpu-py3", "version must be one such as 3.2-0"),
        ("xgboost", 1.7, "version must be a string, got 1.7: write '1.7'"),
        ("knn", "latest", "version must be one such as 1 for knn"),
        ("pytorch", None, r'for pytorch use InferenceImage.from_dlc\("pytorch-inference", "[\d.]+-cpu-'),
    ],
)
def test_refuses_what_cannot_be_an_image(algorithm: str, version: Any, problem: str) -> None:
    with pytest.raises(InvalidEndpointError, match=problem):
        InferenceImage.built_in(algorithm, version)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (InferenceImage.built_in("xgboost", "9.9-9"), "sagemaker-xgboost:9.9-9"),
        (InferenceImage.built_in("xgboost", "3.2-0", architecture="arm64"), "sagemaker-xgboost:3.2-0-arm64"),
        (InferenceImage.built_in("sklearn", "9.9-9"), "sagemaker-scikit-learn:9.9-9-cpu-py3"),
        (
            InferenceImage.built_in("sklearn", "1.9-0", architecture="arm64"),
            "sagemaker-scikit-learn:1.9-0-arm64-cpu-py3",
        ),
        (InferenceImage.built_in("knn", "2"), "knn:2"),
        (InferenceImage.triton("22.07-py3"), "sagemaker-tritonserver:22.07-py3"),
        (InferenceImage.triton("23.02", cpu=True), "sagemaker-tritonserver:23.02-py3-cpu"),
        (InferenceImage.triton("26.04-py3-cpu"), "sagemaker-tritonserver:26.04-py3-cpu"),
        (InferenceImage.from_dlc("pytorch-inference", "9.0.0-gpu-py399"), "pytorch-inference:9.0.0-gpu-py399"),
        (InferenceImage.from_dlc("pytorch-infrence", "2.6.0-cpu-py312"), "pytorch-infrence:2.6.0-cpu-py312"),
    ],
)
def test_an_image_that_the_table_does_not_know_passes_with_a_warning(
    stack: cdk.Stack, image: InferenceImage, name: str
) -> None:
    bound = image.bind(stack)
    assert bound.uri.endswith(f".dkr.ecr.us-west-2.amazonaws.com/{name}")
    assert [warning_id for warning_id, _ in bound.warnings] == ["unknownImage"]
    assert f"image {name} is not one of AWS's that this library knows" in bound.warnings[0][1]


def test_knows_the_processor_of_a_release_that_is_known_for_another() -> None:
    assert InferenceImage.triton("26.04", cpu=True).gpu is False
    assert InferenceImage.built_in("xgboost", "3.2-0", architecture="arm64").architecture == "arm64"


@pytest.mark.parametrize("tag", ["25.12", "26.03-py3", "26.04"])
def test_knows_the_releases_of_triton_that_aws_lists_and_the_sdk_lacks(stack: cdk.Stack, tag: str) -> None:
    assert InferenceImage.triton(tag).bind(stack).warnings == ()


@pytest.mark.parametrize("cpu", [None, True, False])
@pytest.mark.parametrize("form", ["26.05", "26.05-py3", "26.05-py3-cpu"])
def test_takes_every_form_of_a_triton_tag(form: str, cpu: bool | None) -> None:
    if form.endswith("-cpu") and cpu is False:
        with pytest.raises(InvalidEndpointError, match=r"cpu must be true or left out for the tag '26.05-py3-cpu'"):
            InferenceImage.triton(form, cpu=cpu)
        return
    image = InferenceImage.triton(form, cpu=cpu)
    on_cpu = cpu or form.endswith("-cpu")
    assert uri(image, "us-west-2").endswith(":26.05-py3-cpu" if on_cpu else ":26.05-py3")
    assert (image.gpu, image.family, image.multi_model) == (not on_cpu, "sagemaker-tritonserver", True)


@pytest.mark.parametrize("tag", ["", "26", "26.5", "26.13-py3", "26.05-gpu", "26.05-cpu", "v26.05", "latest"])
def test_refuses_what_cannot_be_a_release_of_triton(tag: str) -> None:
    with pytest.raises(InvalidEndpointError, match=r"tag must be a release such as '26.05', '26.05-py3'"):
        InferenceImage.triton(tag)


def test_versions_and_tags_may_be_tokens(stack: cdk.Stack) -> None:
    token = cdk.CfnParameter(stack, "Version").value_as_string
    for image in (InferenceImage.built_in("sklearn", token), InferenceImage.triton(token)):
        bound = image.bind(stack)
        assert "{'Ref': 'Version'}" in str(stack.resolve(bound.uri))
        assert bound.warnings == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda account: InferenceImage.built_in("xgboost", "3.2-0", account_id=account),
        lambda account: InferenceImage.triton("26.05", account_id=account),
        lambda account: InferenceImage.from_dlc("pytorch-inference", "2.6.0-cpu-py312", account),
    ],
    ids=["built_in", "triton", "from_dlc"],
)
class TestAccountId:
    def test_is_the_way_out_where_the_image_is_not_known_to_be(self, make: Callable[[str | None], Any]) -> None:
        with pytest.raises(InvalidEndpointError, match=r"is not known to be in mars-north-1, .*: pass account_id"):
            uri(make(None), "mars-north-1")
        assert uri(make("111122223333"), "mars-north-1").startswith("111122223333.dkr.ecr.mars-north-1.")

    def test_needs_no_table_in_a_region_agnostic_stack(self, make: Callable[[str | None], Any]) -> None:
        stack = cdk.Stack(cdk.App())
        assert make("111122223333").bind(stack).uri.startswith("111122223333.dkr.ecr.")
        assert stack.node.children == []

    def test_must_be_one(self, make: Callable[[str | None], Any]) -> None:
        with pytest.raises(InvalidEndpointError, match="account_id must be 12 digits, got '123'"):
            make("123")


class TestEndOfPatch:
    @pytest.fixture
    def day(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        return lambda day: monkeypatch.setattr(_warnings, "today", lambda: date.fromisoformat(day))

    @staticmethod
    def warnings(image: InferenceImage, stack: cdk.Stack) -> list[str]:
        return [warning_id for warning_id, _ in image.bind(stack).warnings]

    def test_warns_from_the_day_after(self, stack: cdk.Stack, day: Callable[[str], None]) -> None:
        image = InferenceImage.built_in("xgboost", "3.2-0")
        day("2027-05-13")
        assert self.warnings(image, stack) == []
        day("2027-05-14")
        assert self.warnings(image, stack) == ["imagePastEndOfPatch"]
        ((_, message),) = image.bind(stack).warnings
        assert "image sagemaker-xgboost:3.2-0 gets no security patches: AWS ended them by 2027-05-13" in message

    @pytest.mark.parametrize(
        "image",
        [
            InferenceImage.built_in("xgboost", "3.0-5"),
            InferenceImage.built_in("xgboost", "1.5-1", architecture="arm64"),
            InferenceImage.built_in("sklearn", "1.4-2-py312"),
            InferenceImage.built_in("sklearn", "1.2-1"),
            InferenceImage.from_dlc("huggingface-pytorch-inference", "2.6.0-transformers4.49.0-cpu-py312-ubuntu22.04"),
            InferenceImage.from_dlc("pytorch-inference", "2.6.0-cpu-py312-ubuntu22.04-sagemaker"),
            InferenceImage.from_dlc("pytorch-inference", "1.4.0-gpu-py3", "111122223333"),
            InferenceImage.from_dlc("tensorflow-inference", "2.19.0-gpu"),
            InferenceImage.from_uri("763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-inference:2.5.1-gpu-py311"),
        ],
    )
    def test_knows_what_aws_patches_no_more(self, stack: cdk.Stack, image: InferenceImage) -> None:
        assert self.warnings(image, stack) == ["imagePastEndOfPatch"]

    @pytest.mark.parametrize(
        "image",
        [
            InferenceImage.built_in("sklearn", "1.9-0"),
            InferenceImage.built_in("knn"),
            InferenceImage.triton("23.12"),
            InferenceImage.from_dlc("tensorflow-inference", "2.20.0-gpu-py312"),
            InferenceImage.from_uri("123456789012.dkr.ecr.us-west-2.amazonaws.com/pytorch-inference:2.5.1-gpu-py311"),
        ],
    )
    def test_says_nothing_of_others(self, stack: cdk.Stack, image: InferenceImage) -> None:
        assert self.warnings(image, stack) == []

    def test_an_endpoint_warns_of_every_image(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        old = InferenceImage.built_in("xgboost", "3.0-5")
        program = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
        first = PipelineContainer(image=InferenceImage.built_in("sklearn", "1.4-2-py312"), environment=program)
        make_endpoint(image=old, preprocessors=[first])
        found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("no security patches"))
        assert len(found) == 2
        assert all("cdk-multi-model-endpoint:imagePastEndOfPatch" in str(each.entry.data) for each in found)

    def test_can_be_acknowledged_before_the_day(self, make_endpoint: MakeEndpoint, day: Callable[[str], None]) -> None:
        stack = cdk.Stack(cdk.App(), "Stack", env=cdk.Environment(account="123456789012", region="us-west-2"))
        cdk.Annotations.of(stack).acknowledge_warning("cdk-multi-model-endpoint:imagePastEndOfPatch", "planned")
        day("2030-01-01")
        make_endpoint(stack)
        assert Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("no security patches")) == []


class TestFromUri:
    OURS = "123456789012.dkr.ecr.us-west-2.amazonaws.com/team/server:1.0"

    def test_grants_on_the_repository_in_the_uri(self, stack: cdk.Stack) -> None:
        image = InferenceImage.from_uri(self.OURS).bind(stack)
        assert image.uri == self.OURS
        assert "repository/team/server" in str(stack.resolve(image.repository_arn))

    @pytest.mark.parametrize("suffix", ["", ":tag", "@sha256:" + "0" * 64])
    def test_takes_tags_and_digests(self, stack: cdk.Stack, suffix: str) -> None:
        uri = f"123456789012.dkr.ecr.us-west-2.amazonaws.com/server{suffix}"
        assert InferenceImage.from_uri(uri).bind(stack).uri == uri

    @pytest.mark.parametrize(
        "uri",
        ["nvcr.io/nvidia/tritonserver:24.09-py3", "server", "", OURS + "x" * 255, f"{OURS} "],
    )
    def test_refuses_what_is_not_in_ecr(self, uri: str) -> None:
        with pytest.raises(InvalidEndpointError, match="uri must be an image in Amazon ECR"):
            InferenceImage.from_uri(uri)

    def test_takes_a_token_with_its_repository(self, stack: cdk.Stack) -> None:
        repository = ecr.Repository.from_repository_name(stack, "Repository", "server")
        image = InferenceImage.from_uri(repository.repository_uri_for_tag("1"), repository=repository).bind(stack)
        assert stack.resolve(image.repository_arn) == stack.resolve(repository.repository_arn)

    def test_refuses_a_token_alone(self, stack: cdk.Stack) -> None:
        with pytest.raises(InvalidEndpointError, match="repository is required when uri is a token"):
            InferenceImage.from_uri(cdk.CfnParameter(stack, "Uri").value_as_string)

    def test_refuses_another_region(self, stack: cdk.Stack) -> None:
        image = InferenceImage.from_uri(self.OURS.replace("us-west-2", "eu-west-1"))
        with pytest.raises(InvalidEndpointError, match="is in eu-west-1, but the endpoint is in us-west-2"):
            image.bind(stack)

    def test_knows_triton(self) -> None:
        image = InferenceImage.from_uri(
            "763104351884.dkr.ecr.us-west-2.amazonaws.com/sagemaker-tritonserver:99.01-py3-cpu"
        )
        assert image.family == "sagemaker-tritonserver"
        assert image.gpu is False


class TestArchitecture:
    def test_is_x86_by_default(self) -> None:
        assert InferenceImage.built_in("xgboost", "1.5-1").architecture == "x86_64"

    def test_takes_the_arm64_image(self) -> None:
        image = InferenceImage.built_in("sklearn", "1.0-1", architecture="arm64")
        assert image.architecture == "arm64"
        assert uri(image, "us-west-2").endswith("/sagemaker-scikit-learn:1.0-1-arm64-cpu-py3")

    def test_refuses_another(self) -> None:
        with pytest.raises(InvalidEndpointError, match="architecture must be one of x86_64, arm64, got 'sparc'"):
            InferenceImage.built_in("knn", architecture="sparc")  # type: ignore[arg-type]


class TestFromDlc:
    def test_has_the_regions_that_the_cdk_lacks(self) -> None:
        image = InferenceImage.from_dlc("pytorch-inference", "2.6.0-cpu-py312")
        assert uri(image, "us-gov-west-1") == (
            "442386744353.dkr.ecr.us-gov-west-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
        )

    def test_takes_a_tag_that_is_newer_than_the_table(self) -> None:
        image = InferenceImage.from_dlc("pytorch-inference", "9.0.0-gpu-py399")
        assert uri(image, "us-iso-east-1").endswith(".c2s.ic.gov/pytorch-inference:9.0.0-gpu-py399")
        assert (image.family, image.gpu, image.multi_model) == ("pytorch", True, None)

    def test_finds_the_account_of_a_repository_that_is_no_dlcs(self) -> None:
        image = InferenceImage.from_dlc("sagemaker-xgboost", "3.2-0")
        assert uri(image, "us-west-2") == uri(InferenceImage.built_in("xgboost", "3.2-0"), "us-west-2")

    def test_takes_another_account_in_any_region(self) -> None:
        image = InferenceImage.from_dlc("pytorch-inference", "2.6.0-cpu-py312", "111122223333")
        assert uri(image, "us-west-2").startswith("111122223333.dkr.ecr.us-west-2.amazonaws.com/")
        assert uri(image, "mars-north-1").startswith("111122223333.dkr.ecr.mars-north-1.")

    def test_takes_tokens(self, stack: cdk.Stack) -> None:
        tag = cdk.CfnParameter(stack, "Tag").value_as_string
        account = cdk.CfnParameter(stack, "Account").value_as_string
        resolved = str(stack.resolve(InferenceImage.from_dlc("djl-inference", tag, account).bind(stack).uri))
        assert "{'Ref': 'Tag'}" in resolved
        assert "{'Ref': 'Account'}" in resolved

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (("PyTorch", "1"), "repository_name must be"),
            (("pytorch-inference", "a tag"), "tag must be"),
            (("pytorch-inference", ""), "tag must be"),
            (("pytorch-inference", "1", "123"), "account_id must be 12 digits, got '123'"),
        ],
    )
    def test_refuses_what_ecr_does(self, arguments: tuple[str, str], problem: str) -> None:
        with pytest.raises(InvalidEndpointError, match=problem):
            InferenceImage.from_dlc(*arguments)

    def test_refuses_a_region_that_is_known_not_to_have_it(self) -> None:
        with pytest.raises(InvalidEndpointError, match="is not known to be in us-iso-east-1"):
            uri(InferenceImage.from_dlc("pytorch-inference", "2.6.0-cpu-py312"), "us-iso-east-1")

    @pytest.mark.parametrize(
        ("repository", "tag", "gpu", "architecture", "multi_model"),
        [
            ("pytorch-inference", "2.6.0-gpu-py312", True, "x86_64", True),
            ("pytorch-inference", "2.6.0-cpu-py312-ubuntu22.04-sagemaker", False, "x86_64", True),
            ("pytorch-inference", "2.6.0-cpu-py312-ubuntu22.04-ec2", False, "x86_64", False),
            ("pytorch-inference-arm64", "2.7.0-cpu-py312", False, "arm64", None),
            ("tensorflow-inference", "2.19.0-gpu", True, "x86_64", False),
            ("mxnet-inference", "1.9.0-gpu-py38", True, "x86_64", False),
            ("djl-inference", "0.38.0-lmi29.0.0-cu130", True, "x86_64", True),
            ("sagemaker-tritonserver", "24.09-py3-cpu", False, "x86_64", True),
            ("vllm", "0.1-gpu-py312-cu128", True, None, None),
            ("vllm", "0.1", None, None, None),
        ],
    )
    def test_knows_what_the_name_says(
        self, repository: str, tag: str, gpu: bool | None, architecture: str | None, multi_model: bool | None
    ) -> None:
        image = InferenceImage.from_dlc(repository, tag)
        assert (image.gpu, image.architecture, image.multi_model) == (gpu, architecture, multi_model)


def test_an_endpoint_warns_of_an_image_that_serves_one_model_only(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint(image=InferenceImage.from_dlc("mxnet-inference", "1.9.0-gpu-py38"), instance_type="ml.g5.xlarge")
    warnings = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("without the label"))
    assert len(warnings) == 1


class TestFromEcrRepository:
    def test_takes_the_latest_and_grants_on_the_repository(self, stack: cdk.Stack) -> None:
        repository = ecr.Repository(stack, "Repository")
        image = InferenceImage.from_ecr_repository(repository).bind(stack)
        assert str(stack.resolve(image.uri)).endswith(":latest']]}")
        assert stack.resolve(image.repository_arn) == stack.resolve(repository.repository_arn)

    @pytest.mark.parametrize(("tag", "end"), [("1.0", ":1.0"), ("sha256:" + "0" * 64, "@sha256:" + "0" * 64)])
    def test_takes_a_tag_or_digest(self, stack: cdk.Stack, tag: str, end: str) -> None:
        repository = ecr.Repository.from_repository_name(stack, "Repository", "sagemaker-tritonserver")
        image = InferenceImage.from_ecr_repository(repository, tag)
        assert str(stack.resolve(image.bind(stack).uri)).endswith(f"{end}']]}}")
        assert image.family == "sagemaker-tritonserver"

    def test_takes_a_token(self, stack: cdk.Stack) -> None:
        tag = cdk.CfnParameter(stack, "Tag").value_as_string
        image = InferenceImage.from_ecr_repository(ecr.Repository(stack, "Repository"), tag)
        assert "{'Ref': 'Tag'}" in str(stack.resolve(image.bind(stack).uri))

    def test_refuses_another_tag(self, stack: cdk.Stack) -> None:
        with pytest.raises(InvalidEndpointError, match="or a digest 'sha256:…', got 'sha256:12'"):
            InferenceImage.from_ecr_repository(ecr.Repository(stack, "Repository"), "sha256:12")

    def test_refuses_another_region(self, stack: cdk.Stack) -> None:
        arn = "arn:aws:ecr:eu-west-1:123456789012:repository/server"
        image = InferenceImage.from_ecr_repository(ecr.Repository.from_repository_arn(stack, "Repository", arn))
        with pytest.raises(InvalidEndpointError, match="is in eu-west-1, but the endpoint is in us-west-2"):
            image.bind(stack)


class TestFromAsset:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        (tmp_path / "Dockerfile").write_text("FROM scratch\n")
        return tmp_path

    def test_grants_pulling_from_the_bootstrapped_repository_alone(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, directory: Path
    ) -> None:
        make_endpoint(image=InferenceImage.from_asset(directory))
        pull = {
            "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Effect": "Allow",
            "Resource": stack.resolve(
                f"arn:{cdk.Aws.PARTITION}:ecr:us-west-2:123456789012:repository/"
                "cdk-hnb659fds-container-assets-123456789012-us-west-2"
            ),
        }
        Template.from_stack(stack).has_resource_properties(
            "AWS::IAM::Policy", {"PolicyDocument": {"Statement": Match.array_with([pull])}}
        )

    def test_takes_the_options_of_the_cdk(self, stack: cdk.Stack, directory: Path) -> None:
        options: AssetOptions = {"build_args": {"VERSION": "1"}, "platform": ecr_assets.Platform.LINUX_ARM64}
        one, other = InferenceImage.from_asset(directory), InferenceImage.from_asset(directory, **options)
        assert one.architecture is None
        assert other.architecture == "arm64"
        assert len({image.bind(stack).uri for image in (one, other, other)}) == 2

    def test_has_every_option_of_the_cdk(self) -> None:
        cdks: dict[str, Any] = dict(inspect.signature(ecr_assets.DockerImageAsset.__init__).parameters)
        assert set(AssetOptions.__annotations__) == cdks.keys() - {"self", "scope", "id", "directory"}

    def test_refuses_a_directory_without_a_dockerfile(self, directory: Path) -> None:
        with pytest.raises(InvalidEndpointError, match=r"directory must have the file 'Dockerfile\.gpu'"):
            InferenceImage.from_asset(directory, file="Dockerfile.gpu")


class TestRegionAgnosticStacks:
    @staticmethod
    def table(stack: cdk.Stack, name: str) -> set[str]:
        return set(Template.from_stack(stack).find_mappings(name)[name])

    def test_have_one_table_with_the_regions_of_all_their_images(self) -> None:
        one, both = cdk.Stack(), cdk.Stack()
        InferenceImage.triton("24.09").bind(one)
        InferenceImage.triton("24.09").bind(both)
        InferenceImage.triton("25.09").bind(both)
        assert self.table(both, "SageMakerDlcAccounts") - self.table(one, "SageMakerDlcAccounts") >= {"ap-east-2"}
        assert "us-gov-west-1" not in self.table(both, "SageMakerDlcAccounts")
        assert len(Template.from_stack(both).to_json()["Mappings"]) == 1

    def test_have_the_target_partitions_alone(self) -> None:
        stack = cdk.Stack(cdk.App(context={"@aws-cdk/core:target-partitions": ["aws-cn"]}))
        InferenceImage.built_in("knn").bind(stack)
        assert self.table(stack, "SageMakerAlgorithmsAccounts") == {"cn-north-1", "cn-northwest-1"}

    def test_are_refused_where_no_target_partition_has_the_image(self) -> None:
        stack = cdk.Stack(cdk.App(context={"@aws-cdk/core:target-partitions": ["aws-us-gov"]}))
        with pytest.raises(InvalidEndpointError, match="is published in none of the partitions"):
            InferenceImage.triton("24.09").bind(stack)
