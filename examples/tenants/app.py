"""One endpoint for many tenants: each calls its own models, and publishes them without a deployment."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

app = cdk.App()
stack = cdk.Stack(app, "Tenants")

store = ModelStore(stack, "Models")
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(
        image=InferenceImage.built_in("sklearn", "1.9-0"),
        model_store=store,
        source_directory=Path(__file__).parent / "code",
        entry_point="inference.py",
    ),
    instance_type="ml.r5.xlarge",
)

# Tenants that the app knows have a role each
for tenant in ("tenant_a", "tenant_b"):
    role = iam.Role(stack, tenant, assumed_by=iam.AccountRootPrincipal())
    endpoint.grant_invoke(role, target_models=[f"{tenant}/*"])
    cdk.CfnOutput(stack, f"{tenant}_role", value=role.role_arn)

# Those that it does not know share one, and are told apart by the tag of their session
everyone = iam.Role(stack, "EveryTenant", assumed_by=iam.SessionTagsPrincipal(iam.AccountRootPrincipal()))
endpoint.grant_invoke(everyone, target_models=["${aws:PrincipalTag/tenant}/*"])

trainer = iam.Role(stack, "Trainer", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
store.grant_publish(trainer)

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(stack, "EveryTenantRole", value=everyone.role_arn)
cdk.CfnOutput(stack, "ModelStoreUrl", value=store.url)

app.synth()
