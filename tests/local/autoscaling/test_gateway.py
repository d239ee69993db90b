"""The service and its types are where MiniStack looks: this fails when another version has moved the places."""

from __future__ import annotations

import importlib
from typing import Any

from mme_local.autoscaling import SERVICE, TYPES
from mme_local.hosting.plane import NoServers
from mme_local.ministack.credentials import Credentials
from mme_local.ministack.gateway import Gateway

MOVED = "MiniStack has changed: go through mme_local/ministack/gateway.py before raising the pin"


async def test_the_service_and_its_types_are_plugged_in() -> None:
    gateway = Gateway(NoServers(), Credentials.random(), lambda: None)
    assert gateway.sagemaker.endpoints.scaling is gateway.autoscaling
    app: Any = importlib.import_module("ministack.app")
    router: Any = importlib.import_module("ministack.core.router")
    provisioners: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
    stacks: Any = importlib.import_module("ministack.services.cloudformation.stacks")
    target = {"x-amz-target": "AnyScaleFrontendService.DescribeScalableTargets"}
    assert router.detect_service("POST", "/", target, {}) == SERVICE, MOVED
    assert router._KNOWN_AWS_SERVICE_NAMES is None, "the slow look-up in all service models was not avoided"
    answer = await app.SERVICE_HANDLERS[SERVICE]("POST", "/", target, b'{"ServiceNamespace": "ecs"}', {})
    assert (answer[0], b"ValidationException" in answer[2]) == (400, True)
    for kind in TYPES:
        assert set(provisioners._RESOURCE_HANDLERS[kind.name]) == {"create", "update", "delete"}, MOVED
        assert kind.name not in provisioners._CUSTOM_NAME_REPLACEMENT, "a replacement may keep its name"
        assert stacks._runs_on_worker_thread(kind.name), MOVED
    target_type, policy_type = (kind.name for kind in TYPES)
    assert stacks._replacing_change(target_type, {"ResourceId": "a"}, {"ResourceId": "b"}), MOVED
    assert not stacks._replacing_change(target_type, {"MinCapacity": 1}, {"MinCapacity": 2}), MOVED
    assert stacks._replacing_change(policy_type, {"PolicyName": "a"}, {"PolicyName": "b"}), MOVED
    assert not stacks._replacing_change(policy_type, {"PolicyType": "a"}, {"PolicyType": "b"}), MOVED
    assert target_type in provisioners._STACK_TAG_PROPERTY
    assert policy_type not in provisioners._STACK_TAG_PROPERTY
