"""A stack's events, which the CDK CLI prints, tell of what a deployment does and of nothing else."""

from __future__ import annotations

from typing import Any


def told(stack: Any, after: int = 0) -> list[tuple[str, str]]:
    """The resources' events, oldest first."""
    events = stack.client.describe_stack_events(StackName=stack.name)["StackEvents"][::-1]
    return [
        (event["LogicalResourceId"], event["ResourceStatus"])
        for event in events[after:]
        if event["LogicalResourceId"] != stack.name
    ]


def count(stack: Any) -> int:
    return len(stack.client.describe_stack_events(StackName=stack.name)["StackEvents"])


def topic(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SNS::Topic", "Properties": properties}


def test_an_update_tells_of_what_it_changes_and_makes_and_not_of_the_rest(stack: Any) -> None:
    stack.create({"Resources": {"Same": topic(), "Other": topic(DisplayName="before")}})
    assert ("Same", "CREATE_COMPLETE") in told(stack)
    before = count(stack)
    stack.update({"Resources": {"Same": topic(), "Other": topic(DisplayName="after"), "New": topic()}})
    assert sorted(told(stack, before)) == [
        ("New", "CREATE_COMPLETE"),
        ("New", "CREATE_IN_PROGRESS"),
        ("Other", "UPDATE_COMPLETE"),
        ("Other", "UPDATE_IN_PROGRESS"),
    ]


def test_an_update_that_fails_tells_of_the_resource_that_failed(stack: Any, shapes: Any) -> None:
    stack.create({"Resources": {"Same": topic()}})
    before = count(stack)
    missing = {"ProductionVariants": [shapes.variant("missing")]}
    failing = {"Type": "AWS::SageMaker::EndpointConfig", "Properties": missing}
    stack.update({"Resources": {"Same": topic(), "New": failing}})
    events = told(stack, before)
    assert ("New", "CREATE_IN_PROGRESS") in events
    assert ("New", "CREATE_FAILED") in events
    assert "Same" not in [logical_id for logical_id, _ in events]
