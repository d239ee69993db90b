from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

Template = dict[str, Any]


@pytest.fixture
def template(unique: Any, shapes: Any) -> Template:
    variant = shapes.variant("placeholder", ModelName={"Fn::GetAtt": ["Model", "ModelName"]})
    return {
        "Resources": {
            "Model": {
                "Type": "AWS::SageMaker::Model",
                "Properties": {"Containers": [shapes.container()], "Tags": [{"Key": "team", "Value": "a"}]},
            },
            "Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": {"ProductionVariants": [variant]}},
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "Properties": {
                    "EndpointName": unique("stacked"),
                    "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
                },
            },
        },
        "Outputs": {
            "Model": {"Value": {"Ref": "Model"}},
            "Config": {"Value": {"Ref": "Config"}},
            "Endpoint": {"Value": {"Ref": "Endpoint"}},
            "ModelName": {"Value": {"Fn::GetAtt": ["Model", "ModelName"]}},
            "ConfigName": {"Value": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}},
            "EndpointName": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}},
        },
    }


def changed(template: Template, logical_id: str, **properties: Any) -> Template:
    copied = copy.deepcopy(template)
    copied["Resources"][logical_id]["Properties"].update(properties)
    return copied


def with_count(template: Template, count: object) -> Template:
    (variant,) = template["Resources"]["Config"]["Properties"]["ProductionVariants"]
    return changed(template, "Config", ProductionVariants=[{**variant, "InitialInstanceCount": count}])


def unhostable(template: Template, model: str) -> Template:
    """SageMaker takes the configuration, and the endpoint does not come up."""
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    variant = {"VariantName": "AllTraffic", "ModelName": model, "ServerlessConfig": serverless}
    return changed(template, "Config", ProductionVariants=[variant])


def made_by(stack: Any, sagemaker: Any) -> set[str]:
    """The models and configurations of a stack: their names don't say whose they are."""
    models = sagemaker.list_models(MaxResults=100)["Models"]
    configs = sagemaker.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]
    found = {model["ModelName"]: model["ModelArn"] for model in models}
    found |= {config["EndpointConfigName"]: config["EndpointConfigArn"] for config in configs}
    tag = {"Key": "aws:cloudformation:stack-name", "Value": stack.name}
    return {name for name, arn in found.items() if tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}


def test_creates_names_and_refers_to_everything(stack: Any, template: Template, sagemaker: Any) -> None:
    assert stack.create(template, Tags=[{"Key": "cost", "Value": "1"}]) == "CREATE_COMPLETE"
    outputs = stack.outputs
    endpoint_name = template["Resources"]["Endpoint"]["Properties"]["EndpointName"]
    assert outputs["EndpointName"] == endpoint_name
    assert outputs["ModelName"].startswith("Model-")
    assert outputs["ConfigName"].startswith("Config-")
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    assert outputs["Model"] == f"{arn}:model/{outputs['ModelName'].lower()}"
    assert outputs["Config"] == f"{arn}:endpoint-config/{outputs['ConfigName'].lower()}"
    assert outputs["Endpoint"] == f"{arn}:endpoint/{endpoint_name}"
    assert sagemaker.describe_endpoint(EndpointName=endpoint_name)["EndpointStatus"] == "InService"
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=outputs["Model"])["Tags"]}
    assert (tags["team"], tags["cost"], tags["aws:cloudformation:logical-id"]) == ("a", "1", "Model")


def test_a_changed_configuration_is_replaced_and_the_endpoint_updated_in_place(
    stack: Any, template: Template, sagemaker: Any
) -> None:
    stack.create(template)
    before = stack.outputs
    created = sagemaker.describe_endpoint(EndpointName=before["EndpointName"])["CreationTime"]
    assert stack.update(with_count(template, 5)) == "UPDATE_COMPLETE"
    after = stack.outputs
    assert after["ConfigName"] != before["ConfigName"]
    assert (after["Model"], after["Endpoint"]) == (before["Model"], before["Endpoint"])
    answer = sagemaker.describe_endpoint(EndpointName=after["EndpointName"])
    assert answer["EndpointConfigName"] == after["ConfigName"]
    assert answer["ProductionVariants"][0]["CurrentInstanceCount"] == 5
    assert answer["CreationTime"] == created
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sagemaker.describe_endpoint_config(EndpointConfigName=before["ConfigName"])


def test_a_changed_model_is_replaced_and_so_is_what_names_it(
    stack: Any, template: Template, sagemaker: Any, shapes: Any
) -> None:
    stack.create(template)
    before = stack.outputs
    disabled = shapes.container(MultiModelConfig={"ModelCacheSetting": "Disabled"})
    assert stack.update(changed(template, "Model", Containers=[disabled])) == "UPDATE_COMPLETE"
    after = stack.outputs
    assert after["ModelName"] != before["ModelName"]
    assert after["ConfigName"] != before["ConfigName"]
    assert after["Endpoint"] == before["Endpoint"]
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.describe_model(ModelName=before["ModelName"])


def test_changed_tags_replace_nothing(stack: Any, template: Template, sagemaker: Any) -> None:
    stack.create(template)
    before = stack.outputs
    assert stack.update(changed(template, "Model", Tags=[{"Key": "owner", "Value": "b"}])) == "UPDATE_COMPLETE"
    assert stack.outputs == before
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=before["Model"])["Tags"]}
    assert tags["owner"] == "b"
    assert "team" not in tags


def test_a_new_endpoint_name_replaces_the_endpoint(stack: Any, template: Template, sagemaker: Any, unique: Any) -> None:
    stack.create(template)
    before = stack.outputs
    assert stack.update(changed(template, "Endpoint", EndpointName=unique("renamed"))) == "UPDATE_COMPLETE"
    assert stack.outputs["Endpoint"] != before["Endpoint"]
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName=before["EndpointName"])


def test_a_named_configuration_cannot_be_replaced(stack: Any, template: Template, unique: Any) -> None:
    named = changed(template, "Config", EndpointConfigName=unique("Named"))
    stack.create(named)
    assert stack.update(with_count(named, 3)) == "UPDATE_ROLLBACK_COMPLETE"
    assert any("cannot update a stack when a custom-named resource requires replacing" in r for r in stack.reasons())


def test_a_failed_update_goes_back_to_the_old_configuration(
    stack: Any, template: Template, sagemaker: Any, make: Any
) -> None:
    stack.create(template)
    before = stack.outputs
    assert stack.update(unhostable(template, make.single_model())) == "UPDATE_ROLLBACK_COMPLETE"
    assert "mme-local does not host variants with ServerlessConfig: AllTraffic" in stack.reasons()
    assert stack.outputs == before
    answer = sagemaker.describe_endpoint(EndpointName=before["EndpointName"])
    assert (answer["EndpointStatus"], answer["EndpointConfigName"]) == ("InService", before["ConfigName"])
    assert made_by(stack, sagemaker) == {before["ModelName"], before["ConfigName"]}


def test_an_update_that_fails_later_sends_the_endpoint_back(
    stack: Any, template: Template, sagemaker: Any, shapes: Any
) -> None:
    stack.create(template)
    before = stack.outputs
    broken = with_count(template, 6)
    broken["Resources"]["Broken"] = {
        "Type": "AWS::SageMaker::Model",
        "DependsOn": "Endpoint",
        "Properties": {"Containers": [shapes.container(ModelDataUrl="s3://b/one.tar.gz")]},
    }
    assert stack.update(broken) == "UPDATE_ROLLBACK_COMPLETE"
    answer = sagemaker.describe_endpoint(EndpointName=before["EndpointName"])
    assert answer["EndpointConfigName"] == before["ConfigName"]
    assert answer["ProductionVariants"][0]["CurrentInstanceCount"] == 2


def test_a_failed_creation_leaves_nothing(stack: Any, template: Template, sagemaker: Any, make: Any) -> None:
    assert stack.create(unhostable(template, make.single_model())) == "ROLLBACK_COMPLETE"
    name = template["Resources"]["Endpoint"]["Properties"]["EndpointName"]
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName=name)
    assert made_by(stack, sagemaker) == set()


def test_deleting_the_stack_deletes_everything(stack: Any, template: Template, sagemaker: Any) -> None:
    stack.create(template)
    outputs = stack.outputs
    stack.delete()
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName=outputs["EndpointName"])
    assert made_by(stack, sagemaker) == set()


def test_what_was_deleted_by_hand_does_not_stop_the_deletion(stack: Any, template: Template, sagemaker: Any) -> None:
    stack.create(template)
    sagemaker.delete_model(ModelName=stack.outputs["ModelName"])
    sagemaker.delete_endpoint(EndpointName=stack.outputs["EndpointName"])
    stack.delete()


def test_values_may_be_written_as_strings(stack: Any, template: Template, sagemaker: Any, shapes: Any) -> None:
    texts = with_count(template, "3")
    texts["Resources"]["Config"]["Properties"]["ProductionVariants"][0]["InitialVariantWeight"] = "0.5"
    texts = changed(
        texts,
        "Model",
        EnableNetworkIsolation="true",
        Containers=[shapes.container(Environment={"COUNT": 4, "ON": True})],
    )
    assert stack.create(texts) == "CREATE_COMPLETE"
    model = sagemaker.describe_model(ModelName=stack.outputs["ModelName"])
    assert model["EnableNetworkIsolation"] is True
    assert model["Containers"][0]["Environment"] == {"COUNT": "4", "ON": "true"}
    config = sagemaker.describe_endpoint_config(EndpointConfigName=stack.outputs["ConfigName"])
    (variant,) = config["ProductionVariants"]
    assert (variant["InitialInstanceCount"], variant["InitialVariantWeight"]) == (3, 0.5)


@pytest.mark.parametrize(
    ("logical_id", "properties", "text"),
    [
        ("Model", {"Bogus": 1}, "Encountered unsupported property Bogus"),
        ("Model", {"Containers": [{"Bogus": 1}]}, "Encountered unsupported property Containers/0/Bogus"),
        ("Model", {"EnableNetworkIsolation": "maybe"}, "Value of property EnableNetworkIsolation must be of type bool"),
        ("Config", {"ProductionVariants": "[not json"}, "Value of property ProductionVariants must be JSON"),
        ("Endpoint", {"EndpointConfigName": "Absent"}, "Could not find endpoint configuration"),
    ],
)
def test_a_resource_that_cannot_be_made_fails_with_its_reason(
    stack: Any, template: Template, logical_id: str, properties: dict[str, Any], text: str
) -> None:
    assert stack.create(changed(template, logical_id, **properties)) == "ROLLBACK_COMPLETE"
    assert any(text in reason for reason in stack.reasons())


def test_an_attribute_that_does_not_exist_fails_the_stack(stack: Any, template: Template) -> None:
    template["Outputs"]["Bogus"] = {"Value": {"Fn::GetAtt": ["Endpoint", "Bogus"]}}
    assert stack.create(template) == "ROLLBACK_COMPLETE"


def test_a_type_that_nobody_supports_fails_the_stack(stack: Any, template: Template) -> None:
    template["Resources"]["Pipeline"] = {"Type": "AWS::SageMaker::Pipeline", "Properties": {}}
    with pytest.raises(ClientError, match=r"Unrecognized resource types: \[AWS::SageMaker::Pipeline\]"):
        stack.create(template)


def test_a_change_set_says_what_is_replaced(stack: Any, template: Template) -> None:
    stack.create(template)
    changes = stack.client.create_change_set(
        StackName=stack.name, ChangeSetName="Look", TemplateBody=json.dumps(with_count(template, 3))
    )
    described = stack.client.describe_change_set(ChangeSetName=changes["Id"])
    replacements = {
        change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"]["Replacement"]
        for change in described["Changes"]
    }
    assert replacements["Config"] == "True"
    assert replacements.get("Endpoint", "False") == "False"
    assert "Model" not in replacements
