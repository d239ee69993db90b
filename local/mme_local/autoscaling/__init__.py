"""Application Auto Scaling for the instance counts of endpoint variants: API, CloudFormation types, and the scaling.

It differs from AWS's in time only. A target tracking policy has AWS's two CloudWatch alarms, of which the one for
scaling out needs three breaching minutes and the one for scaling in fifteen; here they show their states and trigger
nothing. Instead, every few seconds the last sixty are looked at as one minute. One such minute above the target scales
out. One below nine tenths of it scales in, as soon as the scale-in cooldown has passed since the last change of either
direction, which stands for AWS's long second alarm.
"""

from mme_local.autoscaling.cloudformation import TYPES, Provisioner
from mme_local.autoscaling.service import SERVICE, TARGET_PREFIX, AutoScaling, needed

__all__ = ["SERVICE", "TARGET_PREFIX", "TYPES", "AutoScaling", "Provisioner", "needed"]
