"""The Lambda function that warms an endpoint up: it calls each model so often that every instance should load it.

It runs by itself, on what AWS's Python runtime brings along. Beside it lie ``calls.json`` and the bodies of the calls.
"""

from __future__ import annotations

import json
import math
import os
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

_FOLDER = Path(__file__).parent
_AT_ONCE = 32
_PAUSE_SECONDS = 1.0
_ANSWER_SECONDS = 10
_POLICY_SECONDS = 60
"""How long a changed policy may take to be known everywhere."""


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Warm up, for CloudFormation after an update of the endpoint, or for EventBridge by a schedule."""
    request = event.get("RequestType")
    if request != "Delete":
        try:
            warm_up(time.monotonic() + context.get_remaining_time_in_millis() / 1000 - _ANSWER_SECONDS)
        except Exception as error:  # which must fail no deployment
            _log(error=f"{type(error).__name__}: {error}")
    if request is not None:
        _answer(event)


def warm_up(deadline: float) -> None:
    """Make all calls, and log what became of them, a line for each model and variant."""
    plans = [*_plans(json.loads((_FOLDER / "calls.json").read_text()), deadline)]
    runtime = boto3.client(
        "sagemaker-runtime",
        config=Config(
            connect_timeout=5, read_timeout=70, max_pool_connections=_AT_ONCE, retries={"total_max_attempts": 1}
        ),
    )
    pool = ThreadPoolExecutor(_AT_ONCE)
    # in the order of the models, at the same time: SageMaker sends calls of one model to the instance that holds it,
    # and to others only when there are many
    running = {
        pool.submit(_call, runtime.invoke_endpoint, plan, deadline): plan for plan in plans for _ in range(plan.calls)
    }
    try:
        for done in as_completed(running, max(0.0, deadline - time.monotonic())):
            running[done].outcomes[done.result()] += 1
    except TimeoutError:
        _log(error="out of time")
    pool.shutdown(wait=False, cancel_futures=True)
    for plan in plans:
        plan.log()


def calls_for(instances: int) -> int:
    """How many calls, sent to instances at random, reach every one of them with a probability of 99.9 percent.

    The probability that one of n is left out by k calls is at most n (1 - 1/n)^k.
    """
    return 1 if instances <= 1 else math.ceil(math.log(1000 * instances) / -math.log(1 - 1 / instances))


@dataclass
class _Plan:
    """The calls of one model on one variant."""

    arguments: dict[str, str]
    body: Path
    calls: int
    outcomes: Counter[str] = field(default_factory=Counter)

    def log(self) -> None:
        failed = {outcome: count for outcome, count in self.outcomes.items() if outcome}
        _log(
            target_model=self.arguments["TargetModel"],
            variant=self.arguments.get("TargetVariant"),
            calls=self.calls,
            answered=self.outcomes[""],
            failed=failed or None,
        )


def _plans(calls: list[dict[str, str]], deadline: float) -> Iterator[_Plan]:
    endpoint = os.environ["ENDPOINT_NAME"]
    sagemaker = boto3.client("sagemaker")
    described = _patiently(lambda: sagemaker.describe_endpoint(EndpointName=endpoint), deadline)
    variants = described.get("ProductionVariants", [])
    for call in calls:
        body = _FOLDER / call.pop("Body")
        for variant in variants:
            named = {"TargetVariant": variant["VariantName"]} if len(variants) > 1 else {}
            arguments = {"EndpointName": endpoint, **call, **named}
            yield _Plan(arguments, body, calls_for(variant.get("CurrentInstanceCount", 1)))


def _call(invoke: Callable[..., Any], plan: _Plan, deadline: float) -> str:
    """Call a model until it has answered, or would never; what is wrong then, or nothing."""
    try:
        _patiently(lambda: invoke(**plan.arguments, Body=plan.body.read_bytes())["Body"].read(), deadline)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _patiently(call: Callable[[], Any], deadline: float) -> Any:
    """What a call gives in the end; models that are being loaded, and whatever else is only for now, are waited for."""
    started = time.monotonic()
    while True:
        try:
            return call()
        except (ClientError, HTTPClientError) as error:
            if time.monotonic() + _PAUSE_SECONDS >= min(deadline, started + _patience(error)):
                raise
        time.sleep(_PAUSE_SECONDS)


def _patience(error: ClientError | HTTPClientError) -> float:
    """How many seconds a call is worth repeating."""
    if isinstance(error, HTTPClientError):
        return math.inf
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code == "AccessDeniedException":
        return _POLICY_SECONDS
    return math.inf if code == "ThrottlingException" or status == 429 or status >= 500 else 0


def _answer(event: Mapping[str, Any]) -> None:
    """Tell CloudFormation that it can go on, whatever has become of the calls."""
    answer = {
        "Status": "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId", event["LogicalResourceId"]),
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
    }
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own URL
        event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass


def _log(**fields: object) -> None:
    print(json.dumps({name: value for name, value in fields.items() if value is not None}), flush=True)
