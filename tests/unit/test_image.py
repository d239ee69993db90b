"""Image URIs: what the SageMaker SDK's ``image_uris.retrieve`` gives, in every region."""

from __future__ import annotations

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecr as ecr

from cdk_multi_model_endpoint import InferenceImage, InvalidEndpointError


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
    ],
)
def test_refuses_a_region_without_the_image_and_lists_the_others(image: InferenceImage, region: str) -> None:
    with pytest.raises(InvalidEndpointError, match=rf"is not published in {region}; it is in .*us-east-1"):
        uri(image, region)


@pytest.mark.parametrize(
    ("algorithm", "version", "problem"),
    [
        ("blazingtext", None, "algorithm must be one of knn, linear-learner"),
        ("xgboost", None, "version is required for xgboost: choose one of 3.2-0"),
        ("xgboost", "9.9-9", "version must be one of 3.2-0"),
    ],
)
def test_refuses_what_aws_does_not_have(algorithm: str, version: str | None, problem: str) -> None:
    with pytest.raises(InvalidEndpointError, match=problem):
        InferenceImage.built_in(algorithm, version)


def test_refuses_an_unknown_triton_and_says_the_way_out() -> None:
    with pytest.raises(InvalidEndpointError, match=r"got '99\.01'.*InferenceImage\.from_uri"):
        InferenceImage.triton("99.01-py3")


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
