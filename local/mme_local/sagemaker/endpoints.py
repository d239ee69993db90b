"""Endpoints: changes answer at once and go on in the background, one at a time for each endpoint."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Collection, Iterable, Mapping
from typing import Any, Protocol

import structlog

from mme_local.aws.listing import answer
from mme_local.aws.scope import Scope
from mme_local.aws.tags import tag_map
from mme_local.hosting.plane import Hosting, HostingError
from mme_local.hosting.spec import EndpointSpec
from mme_local.sagemaker import deployment, describing, guardrails, rules
from mme_local.sagemaker.errors import SageMakerError, ValidationError
from mme_local.sagemaker.listing import page
from mme_local.sagemaker.permissions import Roles
from mme_local.sagemaker.records import Endpoint, EndpointConfig, PendingDeployment, Region, Variant

log = structlog.get_logger(__name__)

_FAILURE_REASON_LENGTH = 1024


class Scaling(Protocol):
    """Who scales variants: Application Auto Scaling."""

    def scaled_variants(self, scope: Scope, endpoint_name: str) -> Collection[str]:
        """The variants of an endpoint that are scalable targets."""
        ...

    def endpoint_deleted(self, scope: Scope, endpoint_name: str) -> None:
        """Deregister the targets of an endpoint."""


class Endpoints:
    """The endpoints of every account and region. The data plane knows them by name only, so a name is used once.

    Args:
        hosting: Who runs their model servers.
        alarms: The alarms that send a deployment back.
        roles: What is known of execution roles, when policies are enforced.
        clock: Measures the waits of deployments.
    """

    def __init__(
        self,
        hosting: Hosting,
        *,
        alarms: guardrails.Alarms | None = None,
        roles: Roles | None = None,
        clock: guardrails.Clock | None = None,
    ) -> None:
        self._hosting = hosting
        self._roles = roles
        self._alarms = alarms
        self._clock = clock or guardrails.RealClock()
        self._hosted: dict[str, tuple[Scope, Endpoint]] = {}
        self.scaling: Scaling | None = None

    def invocable(self, name: str) -> bool:
        """Whether there is an endpoint of exactly this name that takes invocations."""
        hosted = self._hosted.get(name.lower())
        return hosted is not None and hosted[1].name == name and hosted[1].serving

    def scope(self, name: str) -> Scope | None:
        """Where the endpoint of this name is."""
        hosted = self._hosted.get(name.lower())
        return None if hosted is None else hosted[0]

    def not_invocable(self, name: str, account: str) -> tuple[int, dict[str, str], bytes]:
        """InvokeEndpoint's answer for a name that takes no invocations."""
        message = f"Endpoint {name} of account {account} not found."
        headers = {"content-type": "application/json", "x-amzn-errortype": "ValidationError"}
        return 400, headers, json.dumps({"Message": message}).encode()

    def create(self, region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateEndpoint."""
        name = request["EndpointName"]
        region.endpoints.check_free(name)
        if (hosted := self._hosted.get(name.lower())) is not None:
            scope = hosted[0]
            raise ValidationError(
                f"mme serves one endpoint of a name: {name} is in use in {scope.region} of {scope.account}."
            )
        config = region.configs.get(request["EndpointConfigName"])
        variants = deployment.new_variants(region, config)
        policy = request.get("DeploymentConfig")
        rules.check_deployment(policy or {}, [], _counts(variants))
        endpoint = Endpoint(
            name,
            region.endpoints.arn(name),
            dict(request),
            tags=tag_map(request.get("Tags", [])),
            config_name=config.name,
            deployment_config=policy,
        )
        region.endpoints.add(endpoint)
        self._hosted[name.lower()] = (region.scope, endpoint)
        self._deploy(region, endpoint, config, variants, status="Creating", on_failure="Failed")
        return {"EndpointArn": endpoint.arn}

    def describe(self, region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeEndpoint."""
        return describing.describe(region.endpoints.get(request["EndpointName"]))

    def list_all(self, region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
        """ListEndpoints."""
        endpoints, token = page(region.endpoints, request)
        return answer("Endpoints", [describing.summary(endpoint) for endpoint in endpoints], token)

    def update(self, region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateEndpoint: the old configuration serves until the new one does, and goes on when that fails."""
        endpoint = region.endpoints.get(request["EndpointName"])
        _check_idle(endpoint)
        config = region.configs.get(request["EndpointConfigName"])
        self._check_scaled(region, endpoint, config)
        variants = deployment.new_variants(region, config)
        policy = request.get("DeploymentConfig")
        if policy is None and request.get("RetainDeploymentConfig"):
            policy = endpoint.deployment_config
        if request.get("RetainAllVariantProperties"):
            excluded = {e["VariantPropertyType"] for e in request.get("ExcludeRetainedVariantProperties", [])}
            deployment.retain(variants, endpoint.variants, excluded)
        rules.check_deployment(policy or {}, [variant.name for variant in endpoint.variants], _counts(variants))
        endpoint.deployment_config = policy
        self._deploy(region, endpoint, config, variants, status="Updating", on_failure="InService")
        return {"EndpointArn": endpoint.arn}

    def update_weights_and_capacities(self, region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateEndpointWeightsAndCapacities."""
        endpoint = region.endpoints.get(request["EndpointName"])
        _check_idle(endpoint)
        variants = {variant.name: variant for variant in endpoint.variants}
        for change in request["DesiredWeightsAndCapacities"]:
            name = change["VariantName"]
            if name not in variants:
                raise ValidationError(f'The variant name(s) "{name}" is/are not present within endpoint configuration.')
            if change.get("DesiredInstanceCount", 1) < 1:
                raise ValidationError(f"The DesiredInstanceCount of variant {name} must be at least 1.")
        for change in request["DesiredWeightsAndCapacities"]:
            variant = variants[change["VariantName"]]
            variant.desired_weight = change.get("DesiredWeight", variant.desired_weight)
            variant.desired_instance_count = change.get("DesiredInstanceCount", variant.desired_instance_count)
        assert endpoint.hosted is not None, "an endpoint in service has a fleet"
        spec = deployment.adjusted(endpoint.hosted, endpoint.variants)
        _move(endpoint, "Updating")

        async def adjust() -> str | None:
            reason = await _outcome(self._hosting.adjust(spec))
            for variant in endpoint.variants:
                if reason is None:
                    endpoint.hosted = spec
                    variant.weight = variant.desired_weight
                    variant.instance_count = variant.desired_instance_count
                else:
                    variant.desired_weight = variant.weight
                    variant.desired_instance_count = variant.instance_count
            _move(endpoint, "InService", reason)
            return reason

        endpoint.operation = asyncio.create_task(adjust())
        return {"EndpointArn": endpoint.arn}

    def delete(self, region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
        """DeleteEndpoint."""
        endpoint = region.endpoints.get(request["EndpointName"])
        if endpoint.in_progress:
            raise ValidationError(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        _move(endpoint, "Deleting")
        if self.scaling is not None:
            self.scaling.endpoint_deleted(region.scope, endpoint.name)

        async def remove() -> str | None:
            reason = await _outcome(self._hosting.remove(endpoint.name))
            if reason is not None:
                _move(endpoint, "Failed", reason)
                return reason
            region.endpoints.remove(endpoint.name)
            del self._hosted[endpoint.name.lower()]
            log.info("endpoint deleted", endpoint=endpoint.name)
            return None

        endpoint.operation = asyncio.create_task(remove())
        return {}

    async def close(self) -> None:
        """Stop the changes that are under way."""
        tasks = [e.operation for _, e in self._hosted.values() if e.operation is not None and not e.operation.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check_scaled(self, region: Region, endpoint: Endpoint, config: EndpointConfig) -> None:
        if self.scaling is not None and endpoint.hosted is not None:
            rules.check_scaled(
                self.scaling.scaled_variants(region.scope, endpoint.name),
                {variant.name: variant.instance_type for variant in endpoint.hosted.variants},
                {variant["VariantName"]: variant.get("InstanceType") for variant in config.variants},
            )

    def _deploy(
        self,
        region: Region,
        endpoint: Endpoint,
        config: EndpointConfig,
        variants: list[Variant],
        *,
        status: str,
        on_failure: str,
    ) -> None:
        pending = PendingDeployment(config.name, variants, deployment.instance_types(config))
        endpoint.pending = pending
        _move(endpoint, status)

        async def start_fleet() -> None:
            spec = deployment.spec(region, endpoint, config, variants)
            if endpoint.hosted is None or not endpoint.deployment_config:
                await self._hosting.deploy(spec)
            else:
                await self._roll_out(region, endpoint, endpoint.hosted, spec, pending)
            endpoint.hosted = spec
            endpoint.config_name = config.name
            endpoint.variants = variants
            endpoint.capture = config.request.get("DataCaptureConfig")

        async def deploy() -> str | None:
            reason = await _outcome(start_fleet())
            endpoint.pending = None
            _move(endpoint, "InService" if reason is None else on_failure, reason)
            return reason

        endpoint.operation = asyncio.create_task(deploy())

    async def _roll_out(
        self, region: Region, endpoint: Endpoint, old: EndpointSpec, new: EndpointSpec, pending: PendingDeployment
    ) -> None:
        config = endpoint.deployment_config or {}
        alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        watch = guardrails.Watch(
            self._alarms,
            [alarm["AlarmName"] for alarm in alarms],
            region.scope,
            role=new.variants[0].execution_role,
            roles=self._roles,
        )
        plan = guardrails.plan(config, old, new)
        await guardrails.Rollout(self._hosting, plan, watch, self._clock, pending.enter).run()


async def _outcome(change: Awaitable[None]) -> str | None:
    """Wait for a change of the data plane; return the reason when it failed."""
    try:
        await change
    except (HostingError, SageMakerError) as error:
        return str(error)[:_FAILURE_REASON_LENGTH]
    except Exception as error:
        log.exception("the data plane failed")
        return f"{type(error).__name__}: {error}"[:_FAILURE_REASON_LENGTH]
    return None


def _move(endpoint: Endpoint, status: str, reason: str | None = None) -> None:
    endpoint.status = status
    endpoint.failure_reason = reason
    endpoint.modified = time.time()
    level = log.error if reason is not None else log.info
    level("endpoint", endpoint=endpoint.name, status=status, **({"reason": reason} if reason is not None else {}))


def _counts(variants: Iterable[Variant]) -> dict[str, int]:
    return {variant.name: variant.desired_instance_count for variant in variants}


def _check_idle(endpoint: Endpoint) -> None:
    if endpoint.in_progress:
        raise ValidationError(f'Cannot update in-progress endpoint "{endpoint.arn}".')
    if endpoint.status == "Failed":
        raise ValidationError(f'Cannot update failed endpoint "{endpoint.arn}": it can only be deleted.')
