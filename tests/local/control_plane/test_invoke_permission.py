"""What InvokeEndpoint asks IAM."""

from __future__ import annotations

from mme_local.aws.scope import Scope
from mme_local.sagemaker.permissions import needed_to_invoke


def test_the_targets_that_a_call_names_are_keys_of_its_context_and_others_are_absent() -> None:
    scope = Scope("000000000000", "us-east-1")
    headers = {
        "x-amzn-sagemaker-target-model": "tenant_a/m.tar.gz",
        "x-amzn-sagemaker-target-container-hostname": "first",
        "x-amzn-sagemaker-target-variant": "AllTraffic",
    }
    assert needed_to_invoke(scope, "e", headers).context == {
        "sagemaker:TargetModel": "tenant_a/m.tar.gz",
        "sagemaker:TargetContainerHostname": "first",
    }
    assert needed_to_invoke(scope, "e", {}).context == {}
