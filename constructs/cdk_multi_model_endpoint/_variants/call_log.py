"""What a dashboard shows of each model: CloudWatch has no such metrics, but the client's log has a line for each call.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from __future__ import annotations

from collections.abc import Iterator

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs

from cdk_multi_model_endpoint._rules.places import Place
from cdk_multi_model_endpoint._rules.tokens import is_token
from multi_model_endpoint.artifacts.findings import Advice

# a call whose alias was not found has no target model
_CALLS = ('filter event = "mme.call" and endpoint = "{}"', "fields coalesce(target_model, alias) as model")
_TABLES = {
    "slowest models, milliseconds": (
        "stats pct(milliseconds, 99) as p99, pct(milliseconds, 50) as p50, count(*) as calls by model",
        "sort p99 desc",
    ),
    "most called models": (
        "stats count(*) as calls, avg(milliseconds) as average_milliseconds by model",
        "sort calls desc",
    ),
    "most failing models": (
        "filter ispresent(error)",
        "stats count(*) as failures by model, error",
        "sort failures desc",
    ),
    "coldest models": (
        "fields (now() * 1000 - toMillis(@timestamp)) / 60000 as minutes",
        "stats min(minutes) as minutes_since_last_call, count(*) as calls by model",
        "sort minutes_since_last_call desc",
    ),
}


def call_log_widgets(place: Place, endpoint_name: str, call_log: logs.ILogGroup) -> list[list[cloudwatch.IWidget]]:
    """The dashboard's rows of tables, two in each."""
    region, account = call_log.env.region, call_log.env.account
    tables: list[cloudwatch.IWidget] = [
        cloudwatch.LogQueryWidget(
            title=title,
            log_group_names=[call_log.log_group_name],
            query_lines=[_CALLS[0].format(endpoint_name), *_CALLS[1:], *query, "limit 20"],
            region=None if is_token(region) else region,
            account_id=account if _is_elsewhere(place, account) else None,
            width=12,
        )
        for title, query in _TABLES.items()
    ]
    return [tables[:2], tables[2:]]


def call_log_warnings(place: Place, call_log: logs.ILogGroup) -> Iterator[Advice]:
    """A warning, with its id, about a log that a dashboard does not simply show."""
    account = call_log.env.account
    if _is_elsewhere(place, account):
        yield Advice(
            "crossAccountCallLog",
            f"call_log is in account {account}: a dashboard shows it only where CloudWatch's cross-account "
            "observability links that account to the endpoint's",
        )


def _is_elsewhere(place: Place, account: str) -> bool:
    return not is_token(account) and account != place.account
