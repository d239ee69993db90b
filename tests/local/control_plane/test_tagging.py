"""SageMaker's resources in the Resource Groups Tagging API."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def tagging(control_plane: Any) -> Any:
    return control_plane.client("resourcegroupstaggingapi")


def test_endpoints_are_found_by_their_tags(tagging: Any, sagemaker: Any, make: Any, unique: Any) -> None:
    team = unique("team")
    config = make.config()
    name = make.endpoint(config, Tags=[{"Key": "team", "Value": team}])
    make.endpoint(config)
    arn = sagemaker.describe_endpoint(EndpointName=name)["EndpointArn"]
    filters = {"TagFilters": [{"Key": "team", "Values": [team]}]}
    expected = [{"ResourceARN": arn, "Tags": [{"Key": "team", "Value": team}]}]
    assert tagging.get_resources(**filters)["ResourceTagMappingList"] == expected
    for kind in ("sagemaker", "sagemaker:endpoint"):
        assert tagging.get_resources(ResourceTypeFilters=[kind], **filters)["ResourceTagMappingList"] == expected
    assert tagging.get_resources(ResourceTypeFilters=["sagemaker:model"], **filters)["ResourceTagMappingList"] == []
    tagged = tagging.get_resources(ResourceTypeFilters=["sagemaker"])["ResourceTagMappingList"]
    assert all(found["Tags"] for found in tagged), "what has no tags is not there"


def test_models_and_configurations_are_found_too(tagging: Any, sagemaker: Any, make: Any, unique: Any) -> None:
    tags = [{"Key": "team", "Value": unique("team")}]
    model = sagemaker.describe_model(ModelName=make.model(Tags=tags))["ModelArn"]
    config = sagemaker.describe_endpoint_config(EndpointConfigName=make.config(Tags=tags))["EndpointConfigArn"]
    found = tagging.get_resources(TagFilters=[{"Key": "team", "Values": [tags[0]["Value"]]}])
    assert [each["ResourceARN"] for each in found["ResourceTagMappingList"]] == [model, config]


def test_tags_come_and_go_through_the_tagging_api(tagging: Any, sagemaker: Any, make: Any) -> None:
    arn = sagemaker.describe_endpoint(EndpointName=make.endpoint())["EndpointArn"]
    assert tagging.tag_resources(ResourceARNList=[arn], Tags={"a": "1", "b": "2"})["FailedResourcesMap"] == {}
    assert tagging.untag_resources(ResourceARNList=[arn], TagKeys=["a"])["FailedResourcesMap"] == {}
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    failed = tagging.tag_resources(ResourceARNList=[f"{arn}-absent"], Tags={"a": "1"})["FailedResourcesMap"]
    assert failed[f"{arn}-absent"]["ErrorMessage"] == "Resource does not exist"
