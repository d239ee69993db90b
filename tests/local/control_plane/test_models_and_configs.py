from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError


def error_of(refused: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_describes_a_model_as_it_was_created(sagemaker: Any, unique: Any, shapes: Any) -> None:
    name = unique("Model")
    containers = [{"Image": shapes.image}, shapes.container(MultiModelConfig={"ModelCacheSetting": "Disabled"})]
    arn = sagemaker.create_model(ModelName=name, Containers=containers)["ModelArn"]
    answer = sagemaker.describe_model(ModelName=name)
    assert arn == answer["ModelArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:model/{name.lower()}"
    assert answer["Containers"] == [{"Mode": "SingleModel", **containers[0]}, containers[1]]
    assert answer["EnableNetworkIsolation"] is False
    assert "PrimaryContainer" not in answer
    assert answer["CreationTime"].year > 2000


def test_describes_a_configuration_with_the_default_weight(sagemaker: Any, make: Any, shapes: Any) -> None:
    chosen = shapes.variant(make.model())
    del chosen["InitialVariantWeight"]
    name = make.config(chosen)
    answer = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert answer["ProductionVariants"] == [{**chosen, "InitialVariantWeight": 1.0}]
    assert answer["EndpointConfigArn"].endswith(f":endpoint-config/{name.lower()}")


def test_unknown_names_get_sagemakers_error(sagemaker: Any) -> None:
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    for call, name, text in (
        (sagemaker.describe_model, "ModelName", f'Could not find model "{arn}:model/none".'),
        (
            sagemaker.delete_endpoint_config,
            "EndpointConfigName",
            f'Could not find endpoint configuration "{arn}:endpoint-config/none".',
        ),
        (sagemaker.describe_endpoint, "EndpointName", f'Could not find endpoint "{arn}:endpoint/none".'),
    ):
        with pytest.raises(ClientError) as refused:
            call(**{name: "None"})
        assert error_of(refused) == ("ValidationException", text)


def test_a_name_is_taken_whatever_its_case(sagemaker: Any, make: Any, shapes: Any) -> None:
    name = make.config()
    with pytest.raises(ClientError) as refused:
        sagemaker.create_endpoint_config(
            EndpointConfigName=name.upper(), ProductionVariants=[shapes.variant(make.model())]
        )
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:endpoint-config/{name.lower()}"
    assert error_of(refused) == (
        "ValidationException",
        f'Cannot create already existing endpoint configuration "{arn}".',
    )


def test_a_configuration_needs_its_model(make: Any, shapes: Any) -> None:
    with pytest.raises(ClientError, match=r'Could not find model "arn:.*:model/absent"'):
        make.config(shapes.variant("Absent"))


def test_lists_every_broken_constraint_in_the_services_words(control_plane: Any, make: Any) -> None:
    unchecked = control_plane.client("sagemaker", parameter_validation=False)
    chosen = {"ModelName": make.model(), "InstanceType": "ml.bogus", "InitialInstanceCount": 0, "VolumeSizeInGB": 9999}
    with pytest.raises(ClientError) as refused:
        unchecked.create_endpoint_config(EndpointConfigName="under_score", ProductionVariants=[chosen])
    code, text = error_of(refused)
    assert code == "ValidationException"
    assert text.startswith("5 validation errors detected: ")
    at = "failed to satisfy constraint: Member must"
    assert f"Value null at 'productionVariants.1.member.variantName' {at} not be null" in text
    assert f"Value '0' at 'productionVariants.1.member.initialInstanceCount' {at} have value greater than" in text
    assert f"Value '9999' at 'productionVariants.1.member.volumeSizeInGB' {at} have value less than or equal to" in text
    assert f"Value 'ml.bogus' at 'productionVariants.1.member.instanceType' {at} satisfy enum value set: [" in text
    assert f"Value 'under_score' at 'endpointConfigName' {at} satisfy regular expression pattern: [a-z" in text


def test_a_value_of_the_wrong_type_cannot_be_read(control_plane: Any) -> None:
    unchecked = control_plane.client("sagemaker", parameter_validation=False)
    with pytest.raises(ClientError) as refused:
        unchecked.create_model(ModelName=["a", "list"], PrimaryContainer={"Image": "i"})
    assert error_of(refused)[0] == "SerializationException"


def test_an_operation_of_another_part_of_sagemaker_is_unknown(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="mme-local has no ListTrainingJobs") as refused:
        sagemaker.list_training_jobs()
    assert error_of(refused)[0] == "UnknownOperationException"


@pytest.mark.parametrize(
    ("containers", "text"),
    [
        ([{"Mode": "MultiModel"}, {"Mode": "MultiModel"}], "More than one container in MultiModel mode is not"),
        ([{"ContainerHostname": "a"}, {}], "Every container must specify a ContainerHostname"),
        ([{"ContainerHostname": "a"}, {"ContainerHostname": "a"}], "must be unique, got a twice"),
        ([{"Mode": "MultiModel", "ModelDataUrl": "s3://b/one.tar.gz"}], "must be a prefix, not one archive"),
        ([{"Environment": {"A": "x" * 1024, **{f"K{n}": "x" * 1000 for n in range(40)}}}], "must not exceed 32768 byt"),
        ([], "One of PrimaryContainer and Containers must be specified"),
    ],
)
def test_refuses_containers_that_do_not_go_together(
    sagemaker: Any, unique: Any, shapes: Any, containers: list[dict[str, Any]], text: str
) -> None:
    chosen = [
        shapes.container(**changes) if changes.get("Mode") else {"Image": shapes.image, **changes}
        for changes in containers
    ]
    with pytest.raises(ClientError, match=text):
        sagemaker.create_model(ModelName=unique("Model"), Containers=chosen)


@pytest.mark.parametrize(
    ("containers", "text"),
    [
        ([{"ContainerHostname": "a"}], "Mode Direct needs more than one container"),
        ([{}, {}], "Every container must specify a ContainerHostname"),
    ],
)
def test_refuses_a_direct_model_whose_containers_nobody_could_name(
    sagemaker: Any, unique: Any, shapes: Any, containers: list[dict[str, Any]], text: str
) -> None:
    chosen = [{"Image": shapes.image, **changes} for changes in containers]
    with pytest.raises(ClientError, match=text):
        sagemaker.create_model(
            ModelName=unique("Model"), Containers=chosen, InferenceExecutionConfig={"Mode": "Direct"}
        )


def test_refuses_a_multi_model_container_without_a_prefix_or_with_a_data_source(
    sagemaker: Any, unique: Any, shapes: Any
) -> None:
    source = {"S3DataSource": {"S3Uri": "s3://b/p/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    with pytest.raises(ClientError, match="ModelDataSource is not supported for a container in MultiModel mode"):
        sagemaker.create_model(ModelName=unique("Model"), PrimaryContainer=shapes.container(ModelDataSource=source))
    with pytest.raises(ClientError, match="must specify a ModelDataUrl"):
        sagemaker.create_model(
            ModelName=unique("Model"), PrimaryContainer={"Image": shapes.image, "Mode": "MultiModel"}
        )


def test_refuses_both_kinds_of_containers(sagemaker: Any, unique: Any, shapes: Any) -> None:
    with pytest.raises(ClientError, match="Only one of PrimaryContainer and Containers"):
        sagemaker.create_model(
            ModelName=unique("Model"), PrimaryContainer=shapes.container(), Containers=[shapes.container()]
        )


@pytest.mark.parametrize(
    ("changes", "config", "text"),
    [
        (
            {"InstanceType": "ml.g4dn.xlarge"},
            {"KmsKeyId": "key"},
            "KmsKeyId is not supported for instance type ml.g4dn",
        ),
        ({"InstanceType": "ml.inf1.xlarge"}, {}, "MultiModel mode is not supported for instance type ml.inf1.xlarge"),
        ({"AcceleratorType": "ml.eia2.medium"}, {}, "MultiModel mode is not supported with AcceleratorType"),
        (
            {},
            {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://b/o"}}},
            "MultiModel mode is not supported with AsyncInferenceConfig",
        ),
    ],
)
def test_refuses_what_a_multi_model_variant_cannot_have(
    make: Any, shapes: Any, changes: dict[str, Any], config: dict[str, Any], text: str
) -> None:
    with pytest.raises(ClientError, match=text):
        make.config(shapes.variant(make.model(), **changes), **config)


def test_refuses_two_variants_of_one_name(make: Any, shapes: Any) -> None:
    chosen = shapes.variant(make.model())
    with pytest.raises(ClientError, match="must be unique, got AllTraffic twice"):
        make.config(chosen, chosen)


def test_lists_in_pages_newest_first(control_plane: Any, shapes: Any) -> None:
    client = control_plane.client("sagemaker", region="eu-west-1")
    for number in range(5):
        client.create_model(ModelName=f"Paged{number}", PrimaryContainer=shapes.container())
    pages = client.get_paginator("list_models").paginate(PaginationConfig={"PageSize": 2})
    found = [[model["ModelName"] for model in page["Models"]] for page in pages]
    assert found == [["Paged4", "Paged3"], ["Paged2", "Paged1"], ["Paged0"]]


def test_filters_and_sorts_lists(control_plane: Any, shapes: Any) -> None:
    client = control_plane.client("sagemaker", region="eu-west-2")
    for name in ("Beta", "alpha", "Gamma"):
        client.create_model(ModelName=name, PrimaryContainer=shapes.container())

    def names(**request: Any) -> list[str]:
        return [model["ModelName"] for model in client.list_models(**request)["Models"]]

    assert names(SortBy="Name", SortOrder="Ascending") == ["alpha", "Beta", "Gamma"]
    assert names(NameContains="AM") == ["Gamma"]
    created = client.describe_model(ModelName="Gamma")["CreationTime"]
    hour = timedelta(hours=1)
    assert len(names(CreationTimeAfter=created - hour, CreationTimeBefore=created + hour)) == 3
    assert names(CreationTimeAfter=created + hour) == []
    assert names(CreationTimeBefore=created - hour) == []


def test_a_bad_page_token_is_refused(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="pagination token is invalid"):
        sagemaker.list_models(NextToken="%%%")


def test_accounts_and_regions_are_apart(control_plane: Any, make: Any) -> None:
    name = make.model()
    with pytest.raises(ClientError, match="arn:aws:sagemaker:ap-south-1:000000000000:model/"):
        control_plane.client("sagemaker", region="ap-south-1").describe_model(ModelName=name)


def test_tags_are_added_replaced_listed_and_removed(sagemaker: Any, make: Any) -> None:
    name = make.model(Tags=[{"Key": "team", "Value": "ü/é 1"}])
    arn = sagemaker.describe_model(ModelName=name)["ModelArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "aws:x", "Value": ""}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "team", "Value": "b"},
        {"Key": "aws:x", "Value": ""},
    ]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["aws:x"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "b"}]


def test_a_tag_with_forbidden_characters_is_refused(sagemaker: Any, make: Any) -> None:
    arn = sagemaker.describe_model(ModelName=make.model())["ModelArn"]
    with pytest.raises(ClientError, match=r"tags\.1\.member\.value.*regular expression pattern"):
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "<b>"}])


def test_tags_of_a_resource_that_is_gone_are_not_found(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match='Could not find endpoint "arn:'):
        sagemaker.list_tags(ResourceArn="arn:aws:sagemaker:us-east-1:000000000000:endpoint/gone")


def test_error_types_are_in_the_header_and_in_the_body(control_plane: Any) -> None:
    with pytest.raises(ClientError) as refused:
        control_plane.client("sagemaker").describe_model(ModelName="None")
    headers = refused.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-errortype"] == "ValidationException"
    assert headers["content-type"] == "application/x-amz-json-1.1"
