"""Many callers at once: of one new model, of more models than fit, and of an endpoint that changes."""

from __future__ import annotations

import collections
import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from .conftest import SERVERS, THIRD, Answer, Callers, Endpoint, Site

LOADS = int(os.environ.get("MME_FAULT_LOADS", "8"))
"""After how many loads of more models than fit there are enough: it was tried with 60, the default is for every day."""


@pytest.mark.parametrize("kind", SERVERS)
def test_fifty_first_calls_at_once_are_one_download_and_one_load(shared: Callable[[str], Endpoint], kind: str) -> None:
    at = shared(kind)
    at.add("first.tar.gz")
    together = threading.Barrier(50)

    def call(number: int) -> Answer:
        together.wait(60)
        return at.ask("first.tar.gz", number)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(call, range(50)))
    assert all(answer.ok for answer in answers), collections.Counter(answers)
    assert len(at.events("downloaded", "first.tar.gz")) == 1
    assert at.loads("first.tar.gz") == 1


@pytest.mark.parametrize("kind", SERVERS)
def test_more_models_than_fit_under_eight_callers_lose_no_request(
    site: Site, endpoint: Callable[..., Endpoint], eventually: Callable[..., Any], kind: str
) -> None:
    at = endpoint(kind)
    models = [f"many{number}.tar.gz" for number in range(5)]
    at.add(*models, padding=THIRD)
    popular = random.Random(0)

    def call(number: int) -> Answer:
        return at.ask(models[min(int(popular.expovariate(0.4)), len(models) - 1)], number)

    def all_loads() -> int:
        return int(site.local.log.read_text().count('"event": "loaded"'))

    before = all_loads()
    with Callers(call, threads=8) as callers:
        eventually(lambda: all_loads() - before >= LOADS, 300)
    assert not callers.failed, collections.Counter(callers.failed)
    loads = [record for model in models for record in at.events("loaded", model)]
    assert max(record["loaded"] for record in loads) <= 3
    assert len(loads) > len(models)


@pytest.mark.parametrize("kind", SERVERS)
def test_two_hundred_callers_get_an_answer_each_and_their_own(
    shared: Callable[[str], Endpoint], eventually: Callable[..., Any], kind: str
) -> None:
    at = shared(kind)
    models = [f"busy{number}.tar.gz" for number in range(4)]
    at.add(*models)
    with ExitStack() as stack:
        # each keeps to its model: a hundred calls of one may wait in Multi Model Server, which refuses more by 503
        every = [stack.enter_context(Callers(partial(at.ask, model), threads=50)) for model in models]
        eventually(lambda: sum(len(callers.answers) for callers in every) >= 1000, 300)
    failed = [answer for callers in every for answer in callers.failed]
    assert not failed, collections.Counter(failed)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_hundred_cold_calls_that_give_up_keep_no_other_model_waiting(
    site: Site, endpoint: Callable[..., Endpoint], eventually: Callable[..., Any], kind: str
) -> None:
    at = endpoint(kind)
    models = [f"cold{number}.tar.gz" for number in range(100)]
    at.add(*models, "new.tar.gz")
    hasty = site.local.client("sagemaker-runtime", max_pool_connections=100, read_timeout=1)

    def call(model: str) -> None:
        with suppress(ReadTimeoutError):
            hasty.invoke_endpoint(EndpointName=at.name, TargetModel=model, Body=at.kind.request(1))

    with ThreadPoolExecutor(100) as pool:
        list(pool.map(call, models))
    assert at.ask("new.tar.gz").ok
    assert sum(at.loads(model) for model in models) < 50


@pytest.mark.parametrize("kind", SERVERS)
def test_a_redeployment_under_traffic_fails_no_request(
    endpoint: Callable[..., Endpoint], eventually: Callable[..., Any], kind: str
) -> None:
    at = endpoint(kind)
    at.add("a.tar.gz", "b.tar.gz")
    with Callers(lambda number: at.ask("ab"[number % 2] + ".tar.gz", number, version="-|2")) as callers:
        eventually(lambda: callers.good > 20)
        described = at.update(Environment={"VERSION": "2"}, count=2)
        assert at.ask("a.tar.gz", version="2").ok
        before = callers.good
        eventually(lambda: callers.good > before + 20)
    assert described["EndpointStatus"] == "InService"
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert not callers.failed, collections.Counter(callers.failed)
    assert not any(server.is_running() for server in at.servers)
