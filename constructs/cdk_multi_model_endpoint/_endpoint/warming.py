"""Calls that load an endpoint's models before anybody waits for them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk_multi_model_endpoint._models.functions import log_and_role
from cdk_multi_model_endpoint._models.permission import Permission
from cdk_multi_model_endpoint._models.stored_model import StoredModel
from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.errors import raise_if_any
from cdk_multi_model_endpoint._rules.tokens import is_token
from cdk_multi_model_endpoint._rules.units import seconds_problems
from multi_model_endpoint.artifacts.findings import Problem

from .invocable import InvocableEndpoint

_FUNCTION = Path(__file__).with_name("warm_up_function.py")
_TIMEOUT_SECONDS = 15 * 60
_SPARE_SECONDS = 60
_MEMORY_MB = 1769  # with a whole processor, so that calls are really made at the same time
_MEBIBYTE = 1024**2
_BODY_MAX = 6 * _MEBIBYTE
_BODIES_MAX = 200 * _MEBIBYTE
_NAMES_MAX = 9_000  # of the 10,240 characters that IAM takes in a role's inline policies
_MEDIA_TYPE = re.compile(r"[!-~][ -~]{0,1023}")


@dataclass(frozen=True)
class WarmUpCall:
    """A call by which a model is warmed up: a small real one, which makes the container do all it does at first.

    Args:
        model: The model, as ``add_model`` returned it, or its target model as callers name it.
        body: What to send, at most 6 MiB; text is sent as UTF-8.
        content_type: What that is, such as ``text/csv``.
        accept: What to ask for. Left out, whatever the container answers.

    Raises:
        InvalidEndpointError: If it is no call that SageMaker takes, or has a value that is known only at deployment:
            calls are a part of the function's code.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
    """

    model: StoredModel | str
    body: bytes | str
    content_type: str
    accept: str | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be called."""
        raise_if_any("WarmUpCall", self._problems())

    @property
    def _target_model(self) -> str:
        return self.model if isinstance(self.model, str) else self.model.target_model

    @property
    def _bytes(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else self.body

    def _problems(self) -> Iterator[Problem]:
        if not isinstance(self.model, (str, StoredModel)):
            yield Problem(
                "wrongType", f"model must be a model of add_model, or a target model as a string, got {self.model!r}"
            )
        else:
            yield from validate.target_model("model", self._target_model)
        if not isinstance(self.body, (bytes, str)):
            yield Problem("wrongType", f"body must be bytes or a string, got {self.body!r}")
        elif isinstance(self.body, str) and is_token(self.body):
            yield Problem(
                "notKnownAtSynth", "body must be known at synth, got a token: it is a part of the function's code"
            )
        elif len(self._bytes) > _BODY_MAX:
            yield Problem("bodyTooLarge", f"body must be at most {_BODY_MAX} bytes, got {len(self._bytes)}")
        for argument in ("content_type", "accept"):
            value = getattr(self, argument)
            if argument == "accept" and value is None:
                continue
            if not isinstance(value, str) or is_token(value) or not _MEDIA_TYPE.fullmatch(value):
                said = "a token" if is_token(value) else repr(value)
                yield Problem(
                    "invalidContentType", f"{argument} must be a string such as 'text/csv', known at synth, got {said}"
                )


class EndpointWarmUp(Construct):
    """A function that calls models of an endpoint so that they are loaded, after each update and by a schedule.

    Made by ``MultiModelEndpoint.warm_up``.

    Attributes:
        function: The function. Invoke it, with any event, to warm up at any other time.
        role: Its role, which may invoke the endpoint for these models and describe it.
        log_group: Its log group, kept for a month, with a line for each model and variant.
    """

    function: lambda_.Function
    role: iam.Role
    log_group: logs.LogGroup

    def __init__(
        self,
        scope: InvocableEndpoint,
        construct_id: str,
        calls: Sequence[WarmUpCall],
        *,
        endpoint: sagemaker.CfnEndpoint,
        schedule: events.Schedule | None,
        timeout: cdk.Duration | None,
    ) -> None:
        raise_if_any(f"{scope.node.path}/{construct_id}", _problems(calls, schedule, timeout))
        super().__init__(scope, construct_id)
        self._endpoint = scope
        seconds = _TIMEOUT_SECONDS if timeout is None else timeout.to_seconds()
        self.log_group, self.role = log_and_role(self)
        Permission(["sagemaker:DescribeEndpoint"], scope._arns()).grant(self.role)
        scope.grant_invoke(self.role, target_models=sorted({call._target_model for call in calls}))
        self.function = self._create_function(calls, seconds)
        self._call_after_updates(calls, endpoint, seconds)
        if schedule is not None:
            self._call_again(schedule, endpoint)

    def _create_function(self, calls: Sequence[WarmUpCall], seconds: float) -> lambda_.Function:
        digest = hashlib.sha256(_FUNCTION.read_bytes() + _digest(calls).encode()).hexdigest()
        # in the cloud assembly, since the CDK CLI reads it from there where it is told not to stage assets
        folder = Path(cast(cdk.Stage, cdk.Stage.of(self)).asset_outdir, f"warm-up-{digest[:16]}")
        _write_code(folder, calls)
        return lambda_.Function(
            self,
            "Function",
            code=lambda_.Code.from_asset(str(folder), asset_hash=digest, asset_hash_type=cdk.AssetHashType.CUSTOM),
            handler="index.handler",
            runtime=lambda_.Runtime.PYTHON_3_14,
            environment={"ENDPOINT_NAME": self._endpoint.endpoint_name},
            memory_size=_MEMORY_MB,
            role=self.role,
            timeout=cdk.Duration.seconds(seconds),
            log_group=self.log_group,
        )

    def _call_after_updates(self, calls: Sequence[WarmUpCall], endpoint: sagemaker.CfnEndpoint, seconds: float) -> None:
        """Have CloudFormation call the function when the endpoint runs under another configuration."""
        resource = cdk.CustomResource(
            self,
            "AfterUpdate",
            service_token=self.function.function_arn,
            # a function that dies without an answer must not hold the deployment up for an hour
            service_timeout=cdk.Duration.seconds(seconds + _SPARE_SECONDS),
            resource_type="Custom::MultiModelEndpointWarmUp",
            properties={
                "EndpointName": self._endpoint.endpoint_name,
                "EndpointConfigName": endpoint.endpoint_config_name,
                "Calls": _digest(calls),
            },
        )
        resource.node.add_dependency(endpoint, self.role)
        for call in calls:
            if isinstance(call.model, StoredModel):
                resource.node.add_dependency(call.model)

    def _call_again(self, schedule: events.Schedule, endpoint: sagemaker.CfnEndpoint) -> None:
        rule = events.CfnRule(
            self,
            "Schedule",
            schedule_expression=schedule.expression_string,
            targets=[events.CfnRule.TargetProperty(id="WarmUp", arn=self.function.function_arn)],
        )
        rule.node.add_dependency(endpoint)
        self.function.add_permission(
            "Schedule", principal=iam.ServicePrincipal("events.amazonaws.com"), source_arn=rule.attr_arn
        )


def _problems(
    calls: Sequence[WarmUpCall], schedule: events.Schedule | None, timeout: cdk.Duration | None
) -> Iterator[Problem]:
    if not calls:
        yield Problem("emptyList", "calls must not be empty: name the models that callers must not wait for")
    way_out = "call warm_up once more for some of the models"
    names = sum(len(name) + 3 for name in {call._target_model for call in calls})
    if names > _NAMES_MAX:
        yield Problem(
            "warmUpTooLarge",
            f"calls must name target models of at most {_NAMES_MAX} characters together, got {names}: IAM allows "
            f"10,240 in a role's inline policies; {way_out}",
        )
    size = sum(len(body) for body in {call._bytes for call in calls})
    if size > _BODIES_MAX:
        yield Problem(
            "warmUpTooLarge",
            f"calls must have bodies of at most {_BODIES_MAX} bytes together, got {size}: Lambda takes 250 MB of code; "
            f"send smaller ones, or {way_out}",
        )
    if isinstance(schedule, cdk.Duration):
        yield Problem(
            "wrongType", "schedule must be of the kind Schedule, got a Duration: write aws_events.Schedule.rate(…)"
        )
    if timeout is not None and timeout.is_unresolved():
        yield Problem("notKnownAtSynth", "timeout must be known at synth, got a token")
    else:
        yield from seconds_problems("timeout", timeout, 60, _TIMEOUT_SECONDS)


def _write_code(folder: Path, calls: Sequence[WarmUpCall]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_FUNCTION, folder / "index.py")
    (folder / "calls.json").write_text(json.dumps(_requests(calls)), encoding="utf-8")
    for call in calls:
        (folder / _body_name(call)).write_bytes(call._bytes)


def _requests(calls: Sequence[WarmUpCall]) -> list[dict[str, str]]:
    return [
        {
            "TargetModel": call._target_model,
            "ContentType": call.content_type,
            **({} if call.accept is None else {"Accept": call.accept}),
            "Body": _body_name(call),
        }
        for call in calls
    ]


def _body_name(call: WarmUpCall) -> str:
    return f"{hashlib.sha256(call._bytes).hexdigest()}.body"


def _digest(calls: Sequence[WarmUpCall]) -> str:
    return hashlib.sha256(json.dumps(_requests(calls)).encode()).hexdigest()
