"""What is known of the endpoint under test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from datetime import datetime

    import boto3


class NotTestableError(Exception):
    """An endpoint that can't be put under load."""


@dataclass(frozen=True)
class Deployed:
    """A production variant.

    Attributes:
        endpoint: The endpoint's name.
        variant: The variant's.
        instances: How many serve it now.
        instance_type: Of what type, if it has one.
    """

    endpoint: str
    variant: str
    instances: int
    instance_type: str | None

    @classmethod
    def find(cls, session: boto3.session.Session, endpoint: str, variant: str | None) -> Deployed:
        """Ask SageMaker.

        Raises:
            NotTestableError: If it is not in service, or has not that variant, or several and none was named.
            botocore.exceptions.ClientError: If there is no such endpoint.
        """
        sagemaker = session.client("sagemaker")
        answer = sagemaker.describe_endpoint(EndpointName=endpoint)
        if answer["EndpointStatus"] != "InService":
            raise NotTestableError(f"endpoint {endpoint!r} must be InService, is {answer['EndpointStatus']}")
        counts = {each["VariantName"]: each.get("CurrentInstanceCount", 0) for each in answer["ProductionVariants"]}
        if variant is None and len(counts) == 1:
            (variant,) = counts
        if variant not in counts:
            what = "several variants: name one of" if variant is None else f"no variant {variant!r}, but"
            raise NotTestableError(f"endpoint {endpoint!r} has {what} {', '.join(sorted(counts))}")
        if not counts[variant]:
            raise NotTestableError(f"variant {variant!r} has no instances")
        config = sagemaker.describe_endpoint_config(EndpointConfigName=answer["EndpointConfigName"])
        types = {each["VariantName"]: each.get("InstanceType") for each in config["ProductionVariants"]}
        return cls(endpoint, variant, counts[variant], types.get(variant))

    def change(self, session: boto3.session.Session) -> str | None:
        """What is otherwise by now; None if nothing is."""
        try:
            now = Deployed.find(session, self.endpoint, self.variant)
        except NotTestableError as error:  # it is being scaled
            return str(error)
        return None if now == self else f"there are {now.instances} instances of {now.instance_type} now"

    def warnings(self, session: boto3.session.Session) -> Iterator[str]:
        """What would make a figure wrong."""
        resource = f"endpoint/{self.endpoint}/variant/{self.variant}"
        try:
            targets = session.client("application-autoscaling").describe_scalable_targets(
                ServiceNamespace="sagemaker", ResourceIds=[resource]
            )["ScalableTargets"]
        except (BotoCoreError, ClientError) as error:
            yield f"whether variant {self.variant!r} is autoscaled is not known: {error}"
            return
        for target in targets:
            low, high = target["MinCapacity"], target["MaxCapacity"]
            if low != high and not target.get("SuspendedState", {}).get("DynamicScalingOutSuspended"):
                yield (
                    f"variant {self.variant!r} is autoscaled from {low} to {high} instances, and must not scale during "
                    f"the test: suspend it, or set its maximum to {self.instances}"
                )

    def cache_hit_percent(self, session: boto3.session.Session, begin: datetime, end: datetime) -> float | None:
        """Of the calls between two moments, as far as CloudWatch has them by now; None where it has none."""
        try:
            points = session.client("cloudwatch").get_metric_statistics(
                Namespace="AWS/SageMaker",
                MetricName="ModelCacheHit",
                Dimensions=[
                    {"Name": "EndpointName", "Value": self.endpoint},
                    {"Name": "VariantName", "Value": self.variant},
                ],
                StartTime=begin,
                EndTime=end,
                Period=60,
                Statistics=["Sum", "SampleCount"],
            )["Datapoints"]
        except (BotoCoreError, ClientError):
            return None
        calls = sum(point["SampleCount"] for point in points)
        return 100 * sum(point["Sum"] for point in points) / calls if calls else None
