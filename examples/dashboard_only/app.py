"""A dashboard and an alarm for an endpoint that others have made, and that stays theirs."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from cdk_multi_model_endpoint import InvocationHttpResponseCode, MultiModelEndpoint

app = cdk.App()
stack = cdk.Stack(app, "DashboardOnly")

name = app.node.try_get_context("endpoint_name") or "theirs"
variant = MultiModelEndpoint.from_endpoint_name(stack, "Theirs", name).find_variant("AllTraffic")
errors = variant.metric_invocation_response_code(InvocationHttpResponseCode.INVOCATION_5XX_ERRORS, statistic="Average")

cloudwatch.Dashboard(
    stack,
    "Dashboard",
    dashboard_name=f"{name}-models",
    widgets=[
        [
            cloudwatch.GraphWidget(title="Traffic", left=[variant.metric_invocations()], right=[errors]),
            cloudwatch.GraphWidget(title="Waiting for models", left=[variant.metric_model_loading_wait_time()]),
            cloudwatch.GraphWidget(
                title="Models in memory",
                left=[variant.metric_loaded_model_count()],
                right=[variant.metric_model_cache_hit()],
            ),
        ]
    ],
)
alarm = errors.create_alarm(
    stack,
    "Errors",
    alarm_description="Requests fail: the container or SageMaker answers 5XX",
    threshold=0.01,
    evaluation_periods=3,
    comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
    treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
)

cdk.CfnOutput(stack, "AlarmName", value=alarm.alarm_name)
cdk.CfnOutput(stack, "DashboardName", value=f"{name}-models")

app.synth()
