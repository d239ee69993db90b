"""An HTTP API in front of the endpoint: ``POST /models/{alias}`` calls a model of the tenant whose key it has."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_apigatewayv2_authorizers import HttpLambdaAuthorizer, HttpLambdaResponseType
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration

import multi_model_endpoint
from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

HERE = Path(__file__).parent
MODELS = HERE / "models"

app = cdk.App()
stack = cdk.Stack(app, "FrontDoor")

store = ModelStore(stack, "Models")
store.add_model("tenant_a/churn", MODELS / "churn", aliases=["tenant_a/churn"])
store.add_model("tenant_b/price", MODELS / "price", aliases=["tenant_b/price"])
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
    instance_type="ml.m5.xlarge",
)


def function(
    name: str, code: Path, handler: str, *, environment: Mapping[str, str], timeout: cdk.Duration
) -> lambda_.Function:
    """A function that may write to its own log, and nothing else yet."""
    log_group = logs.LogGroup(stack, f"{name}Log", retention=logs.RetentionDays.ONE_MONTH)
    role = iam.Role(stack, f"{name}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    log_group.grant_write(role)
    return lambda_.Function(
        stack,
        name,
        runtime=lambda_.Runtime.PYTHON_3_14,
        architecture=lambda_.Architecture.ARM_64,
        code=lambda_.Code.from_asset(str(code), exclude=["__pycache__"]),
        handler=handler,
        role=role,
        log_group=log_group,
        memory_size=512,
        timeout=timeout,
        environment=environment,
    )


with tempfile.TemporaryDirectory() as folder:
    code = Path(folder)
    shutil.copytree(HERE / "function", code, dirs_exist_ok=True)
    # wherever it is installed; it needs boto3 alone, which the runtime has
    shutil.copytree(Path(multi_model_endpoint.__file__).parent, code / "multi_model_endpoint")
    front_door = function(
        "Function",
        code,
        "front_door.handler",
        environment={"ENDPOINT_NAME": endpoint.endpoint_name, "MODELS": store.url},
        timeout=cdk.Duration.seconds(28),  # the API waits 30, a cold start included
    )
endpoint.monitor("Monitoring", call_log=front_door.log_group)
endpoint.grant_invoke(front_door)
store.grant_resolve(front_door)

keys = dynamodb.Table(
    stack,
    "Keys",
    partition_key=dynamodb.Attribute(name="digest", type=dynamodb.AttributeType.STRING),
    billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
    point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True),
)
authorizer = function(
    "Authorizer",
    HERE / "authorizer",
    "authorizer.handler",
    environment={"KEYS": keys.table_name},
    timeout=cdk.Duration.seconds(5),
)
keys.grant(authorizer, "dynamodb:GetItem")

api = apigateway.HttpApi(stack, "Api")
api.add_routes(
    path="/models/{alias}",
    methods=[apigateway.HttpMethod.POST],
    integration=HttpLambdaIntegration("Call", front_door),
    authorizer=HttpLambdaAuthorizer(
        "Tenant",
        authorizer,
        identity_source=["$request.header.x-api-key"],
        response_types=[HttpLambdaResponseType.SIMPLE],
        results_cache_ttl=cdk.Duration.minutes(1),
    ),
)

cdk.CfnOutput(stack, "Url", value=api.api_endpoint)
cdk.CfnOutput(stack, "ApiId", value=api.api_id)
cdk.CfnOutput(stack, "KeysTable", value=keys.table_name)
cdk.CfnOutput(stack, "CallLog", value=front_door.log_group.log_group_name)
cdk.CfnOutput(stack, "ModelStoreUrl", value=store.url)

app.synth()
