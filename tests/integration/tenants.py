"""An app with two tenants on one endpoint, as its test deploys it."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

STACK = "Tenants"
MODELS = Path(__file__).parents[2] / "stacks" / "models" / "xgboost"
TENANTS = {"tenant_a": "house-price", "tenant_b": "customer-churn"}


class Tenants(cdk.Stack):
    """A role for each tenant, one for whoever a session's tag says, and one for nobody."""

    def __init__(self, app: cdk.App) -> None:
        super().__init__(app, STACK)
        store = ModelStore(self, "Models")
        endpoint = MultiModelEndpoint(
            self,
            "Endpoint",
            container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "1.7-1"), model_store=store),
            instance_type="ml.m5.large",
            initial_instance_count=1,
        )
        for tenant, model in TENANTS.items():
            stored = store.add_model(f"{tenant}/{model}", str(MODELS / model))
            endpoint.grant_invoke(self._role(tenant), target_models=[f"{tenant}/*"])
            cdk.CfnOutput(self, f"Model-{tenant}", value=stored.target_model, key=tenant.replace("_", ""))
        endpoint.grant_invoke(self._role("tagged"), target_models=["${aws:PrincipalTag/tenant}/*"])
        self._role("nobody")
        cdk.CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        cdk.CfnOutput(self, "StoreUrl", value=store.url)
        cdk.CfnOutput(self, "ExecutionRole", value=endpoint.role.role_arn)

    def _role(self, name: str) -> iam.Role:
        return iam.Role(self, name, role_name=name, assumed_by=iam.AccountRootPrincipal().with_session_tags())


if __name__ == "__main__":
    app = cdk.App()
    Tenants(app)
    app.synth()
