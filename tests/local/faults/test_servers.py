"""Servers that die, or never come up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import SERVERS, Callers, Endpoint, Site, needs_triton


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_killed_under_traffic_is_restarted(
    site: Site, endpoint: Callable[..., Endpoint], eventually: Callable[..., Any], kind: str
) -> None:
    at = endpoint(kind)
    at.add("a.tar.gz", "b.tar.gz")
    (server,) = at.servers
    with Callers(lambda number: at.ask("ab"[number % 2] + ".tar.gz", number)) as callers:
        eventually(lambda: callers.good > 40)
        assert at.holding()
        server.kill()
        eventually(lambda: site.records("server restarted", server=f"{at.name}/AllTraffic/i0/primary"))
        before = callers.good
        eventually(lambda: callers.good > before + 40)
    # each caller saw at most the call that was cut off, and one that met the dead server
    assert 0 < len(callers.failed) <= 8, callers.failed
    for answer in callers.failed:
        assert (answer.status, answer.error) in [(424, "ModelError"), (503, "ServiceUnavailable")], answer
    assert at.ask("a.tar.gz", 1).ok
    assert not server.is_running()
    assert at.loads("a.tar.gz") == at.loads("b.tar.gz") == 2


@needs_triton
@pytest.mark.parametrize(
    ("kind", "environment", "reason"),
    [
        ("triton", {"SAGEMAKER_TRITON_INFERENCE_TYPE": "guess"}, "SAGEMAKER_TRITON_INFERENCE_TYPE must be one of"),
        ("triton", {"SAGEMAKER_TRITON_ADDITIONAL_ARGS": "--no-such-option"}, "no-such-option"),
        ("mms", {"SAGEMAKER_MAX_HEAP_SIZE": "plenty"}, "Invalid maximum heap size"),
    ],
    ids=["the serve script refuses", "Triton refuses", "Java refuses"],
)
def test_an_endpoint_whose_server_does_not_come_up_has_failed_and_says_why(
    site: Site, kind: str, environment: dict[str, str], reason: str
) -> None:
    running = site.processes("java") + site.processes("tritonserver")
    described = site.create(site.config(site.container(kind, "none", Environment=environment), count=2))
    assert described["EndpointStatus"] == "Failed"
    assert reason in described["FailureReason"]
    assert described["FailureReason"].startswith("The primary container for production variant AllTraffic did not")
    answer = site.invoke(described["EndpointName"], b"1", TargetModel="m.tar.gz")
    assert (answer.status, answer.error) == (400, "ValidationError")
    site.delete(described["EndpointName"])
    assert site.processes("java") + site.processes("tritonserver") == running


@needs_triton
def test_an_update_whose_server_does_not_come_up_leaves_the_old_one_serving(endpoint: Callable[..., Endpoint]) -> None:
    at = endpoint("triton")
    at.add("a.tar.gz")
    with Callers(lambda number: at.ask("a.tar.gz", number)) as callers:
        described = at.update(Environment={"SAGEMAKER_TRITON_ADDITIONAL_ARGS": "--no-such-option"})
    assert described["EndpointStatus"] == "InService"
    assert "no-such-option" in described["FailureReason"]
    assert callers.good
    assert not callers.failed
    assert at.loads("a.tar.gz") == 1
