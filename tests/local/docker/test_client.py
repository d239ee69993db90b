"""The toolkit's client under fire: real containers, real HTTP, and more callers and models than there is room for."""

from __future__ import annotations

import collections
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from multi_model_endpoint import Answer, MultiModelClient
from multi_model_endpoint.aliases import Aliases
from multi_model_endpoint.store_url import StoreUrl

from .conftest import Images, Site, multi_model

STORE = "s3://models/m/"
MODELS = 50
FIT = 10


@pytest.fixture(autouse=True)
def environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``mme serve`` prints."""
    for name, value in site.local.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def endpoint(site: Site, images: Images) -> str:
    for number in range(MODELS):
        site.put(f"fire{number}")
    return site.deploy(multi_model(images.usual, CAPACITY=str(FIT)))


def said(answer: Answer) -> tuple[str, str, str]:
    """Of the container: the name that is in the model, the target model that it was called for, and the body."""
    name, target, _, body = answer.body.decode().split("|")
    return name, target, body


def test_two_hundred_threads_on_fifty_models_of_which_ten_fit_get_an_answer_each_and_their_own(endpoint: str) -> None:
    client = MultiModelClient(endpoint)
    together = threading.Barrier(200)

    def call(thread: int) -> list[tuple[str, str, str]]:
        together.wait(60)
        models = [(7 * thread + number) % MODELS for number in range(3)]
        return [said(client.invoke(f"fire{model}.tar.gz", f"{thread}-{model}".encode())) for model in models]

    with ThreadPoolExecutor(200) as pool:
        answers = [answer for answers in pool.map(call, range(200)) for answer in answers]
    assert len(answers) == 600
    assert all(f"{name}.tar.gz" == target for name, target, _ in answers)
    assert all(f"fire{body.partition('-')[2]}" == name for name, _, body in answers)


@contextmanager
def callers(call: Callable[[int], Any], eventually: Callable[..., Any]) -> Iterator[Callable[[int], None]]:
    """Threads that call until the block ends or one of them fails; what it gets waits for so many more answers."""
    numbers, stop = itertools.count(), threading.Event()
    answered: list[int] = []

    def run() -> None:
        while not stop.is_set():
            number = next(numbers)
            call(number)
            answered.append(number)

    def more(count: int) -> None:
        before = len(answered)
        eventually(lambda: len(answered) >= before + count or any(future.done() for future in futures))

    with ThreadPoolExecutor(20) as pool:
        futures = [pool.submit(run) for _ in range(20)]
        try:
            yield more
        finally:
            stop.set()
        for future in futures:
            future.result()


def test_neither_an_update_nor_a_container_that_dies_fails_a_call(
    site: Site, images: Images, endpoint: str, eventually: Callable[..., Any]
) -> None:
    client = MultiModelClient(endpoint)

    def call(number: int) -> None:
        answer = said(client.invoke(f"fire{number % 5}.tar.gz", str(number).encode(), timeout=120))
        assert answer == (f"fire{number % 5}", f"fire{number % 5}.tar.gz", str(number))

    updated = site.model(multi_model(images.usual, CAPACITY=str(FIT), GREETING="again"))
    variant = {"VariantName": "V", "ModelName": updated, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    site.sagemaker.create_endpoint_config(EndpointConfigName=updated, ProductionVariants=[variant])
    with callers(call, eventually) as more:
        more(50)
        site.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=updated)
        eventually(lambda: site.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService")
        more(50)
        site.call_refused(endpoint, {"do": "die"}, model="fire0")
        more(50)
    assert site.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"] == updated


def test_an_alias_that_moves_under_traffic_fails_no_call_and_mixes_no_answer(
    site: Site, endpoint: str, eventually: Callable[..., Any]
) -> None:
    aliases = Aliases(site.s3, StoreUrl.parse(STORE))
    alias = aliases.set("fire@prod", "fire1.tar.gz", replaces=None)
    client = MultiModelClient(endpoint, models=STORE, alias_ttl=0.05)
    answered: collections.Counter[str] = collections.Counter()

    def call(number: int) -> None:
        answer = client.invoke("fire@prod", str(number).encode())
        name, target, body = said(answer)
        assert (f"{name}.tar.gz", target, body) == (answer.target_model, answer.target_model, str(number))
        answered[name] += 1

    with callers(call, eventually) as more:
        more(50)
        assert set(answered) == {"fire1"}
        alias = aliases.set("fire@prod", "fire2.tar.gz", replaces=alias)
        eventually(lambda: answered["fire2"] > 50)
        aliases.set("fire@prod", "fire1.tar.gz", replaces=alias)
        before = answered["fire1"]
        eventually(lambda: answered["fire1"] > before + 50)
    assert client.invoke("fire@prod", b"x").target_model == "fire1.tar.gz"


def test_the_readmes_example_calls_a_model(
    site: Site, endpoint: str, readme_snippets: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Aliases(site.s3, StoreUrl.parse(STORE)).set("churn@prod", "fire0.tar.gz", replaces=None)
    text = readme_snippets["call.py"].replace('"scoring"', repr(endpoint)).replace("s3://my-bucket/models/", STORE)
    exec(compile(text, "call.py", "exec"), {})
    assert "fire0|fire0.tar.gz|" in capsys.readouterr().out
