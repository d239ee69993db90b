"""Calls by alias: when it is looked up, by whom, and what if that fails."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from multi_model_endpoint import MultiModelClient
from multi_model_endpoint.aliases import InvalidAliasError, UnknownAliasError

from .conftest import DENIED, SLOW_DOWN, STORE, VALIDATION, Clock, Reply, Service

OLD, NEW = "churn-11111111.tar.gz", "churn-22222222.tar.gz"


@pytest.fixture
def client(service: Service, session: boto3.session.Session, hurried: None, clock: Clock) -> MultiModelClient:
    """One that knows no alias yet; its clock stands."""
    return MultiModelClient("endpoint", models=STORE, timeout=60, session=session)


@pytest.mark.parametrize("alias", ["churn", "churn@prod", "tenant_a/churn@champion"])
def test_an_alias_is_called_as_the_model_that_it_names(service: Service, client: MultiModelClient, alias: str) -> None:
    service.names(**{alias: f"{OLD}\n"})
    assert client.invoke(alias, b"x").target_model == OLD
    assert service.looked_up == [alias]
    assert service.invoked == [OLD]


def test_a_target_model_is_no_alias(service: Service, client: MultiModelClient) -> None:
    client.invoke(OLD, b"x")
    assert service.looked_up == []


def test_an_alias_is_looked_up_again_after_some_seconds(
    service: Service, client: MultiModelClient, clock: Clock
) -> None:
    service.names(churn=OLD)
    client.invoke("churn", b"x")
    service.names(churn=NEW)
    clock.sleep(9.9)
    assert client.invoke("churn", b"x").target_model == OLD
    clock.sleep(0.2)
    assert client.invoke("churn", b"x").target_model == NEW
    assert service.looked_up == ["churn"] * 2


def test_a_hundred_threads_look_an_alias_up_once(service: Service, client: MultiModelClient) -> None:
    together = threading.Barrier(100)
    held = threading.Event()
    service.names(churn=OLD)
    found = service.alias
    service.alias = lambda name: found(name) if held.wait(60) else Reply(500)

    def call(_: int) -> str:
        together.wait(60)
        return client.invoke("churn", b"x").target_model

    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(call, number) for number in range(100)]
        held.set()
        assert {answer.result() for answer in answers} == {OLD}
    assert service.looked_up == ["churn"]


def test_while_one_thread_looks_an_alias_up_again_others_call_what_they_know(
    service: Service, client: MultiModelClient, clock: Clock
) -> None:
    service.names(churn=OLD)
    client.invoke("churn", b"x")
    clock.sleep(11)
    asked, held = threading.Event(), threading.Event()

    def alias(_: str) -> Reply:
        asked.set()
        held.wait(60)
        return Reply(body=NEW.encode())

    service.alias = alias
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.invoke, "churn", b"x")
        assert asked.wait(60)
        assert client.invoke("churn", b"x").target_model == OLD
        held.set()
        assert first.result().target_model == NEW


def test_what_is_known_of_an_alias_is_called_while_s3_fails(
    service: Service, client: MultiModelClient, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    service.names(churn=OLD)
    client.invoke("churn", b"x")

    def alias(_: str) -> Reply:
        clock.sleep(1.5)
        return SLOW_DOWN

    service.alias = alias
    clock.sleep(11)
    with caplog.at_level(logging.WARNING):
        assert client.invoke("churn", b"x").target_model == OLD
    assert [record.name for record in caplog.records] == ["multi_model_endpoint.calling.resolving"]
    assert f"alias churn can't be looked up, so it goes on to be {OLD}" in caplog.text
    asked = len(service.looked_up)
    assert client.invoke("churn", b"x").target_model == OLD  # for some seconds more, without asking
    assert len(service.looked_up) == asked
    service.names(churn=NEW)
    clock.sleep(11)
    assert client.invoke("churn", b"x").target_model == NEW


def test_an_alias_that_was_never_found_waits_for_s3_until_the_end_of_the_time(
    service: Service, client: MultiModelClient, clock: Clock
) -> None:
    def alias(_: str) -> Reply:
        clock.sleep(30)
        return SLOW_DOWN

    service.alias = alias
    began = clock.now
    with pytest.raises(ClientError, match=r"\(SlowDown\)"):
        client.invoke("churn", b"x", timeout=200)
    assert 170 <= clock.now - began <= 210
    assert service.invoked == []


@pytest.mark.parametrize("end", ["no answer", "an error"])
def test_who_has_less_time_gives_up_and_others_look_the_alias_up_themselves(
    service: Service, session: boto3.session.Session, end: str
) -> None:
    client = MultiModelClient("endpoint", models=STORE, session=session)
    asked = threading.Event()
    over = threading.Event()

    def alias(_: str) -> Reply:
        asked.set()
        if over.is_set():
            return Reply(body=OLD.encode())
        return SLOW_DOWN if end == "an error" or service.closing.wait(60) else Reply()

    def hasty() -> None:
        try:
            client.invoke("churn", b"x", timeout=2)
        finally:
            over.set()

    service.alias = alias
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(hasty)
        assert asked.wait(60)
        assert client.invoke("churn", b"x", timeout=60).target_model == OLD
        # the last attempt after errors may have milliseconds left
        with pytest.raises(ReadTimeoutError if end == "no answer" else (ClientError, ReadTimeoutError)):
            first.result()


def test_an_alias_that_is_not_there_is_said_so(service: Service, client: MultiModelClient) -> None:
    service.names()
    message = "there is no alias 'churn@prod' in s3://bucket/models/: set it, or name a target model of the store"
    with pytest.raises(UnknownAliasError, match=message) as caught:
        client.invoke("churn@prod", b"x")
    assert isinstance(caught.value, BotoCoreError)
    assert service.invoked == []
    service.names(**{"churn@prod": OLD})
    assert client.invoke("churn@prod", b"x").target_model == OLD


@pytest.mark.parametrize("gone", ["deleted", "forbidden"])
def test_an_alias_that_is_gone_or_forbidden_is_not_called_as_it_was(
    service: Service, client: MultiModelClient, clock: Clock, gone: str
) -> None:
    service.names(churn=OLD)
    client.invoke("churn", b"x")
    clock.sleep(11)
    if gone == "deleted":
        service.names()
    else:
        service.alias = lambda _: DENIED
    with pytest.raises((UnknownAliasError, ClientError)):
        client.invoke("churn", b"x")
    assert service.invoked == [OLD]


@pytest.mark.parametrize("content", ["", "no model", "two\nlines.tar.gz", "\x01.tar.gz"])
def test_what_names_no_target_model_is_said_so(service: Service, client: MultiModelClient, content: str) -> None:
    service.names(churn=content)
    with pytest.raises(InvalidAliasError, match="alias 'churn' in s3://bucket/models/ is not valid: target_model must"):
        client.invoke("churn", b"x")
    assert service.invoked == []


def test_a_model_that_was_removed_after_its_alias_moved_on_is_not_missed(
    service: Service, client: MultiModelClient
) -> None:
    service.names(churn=OLD)
    client.invoke("churn", b"x")
    service.names(churn=NEW)
    service.model = lambda model, _: VALIDATION if model == OLD else Reply()
    assert client.invoke("churn", b"x").target_model == NEW
    assert service.invoked == [OLD, OLD, NEW]
    assert client.invoke("churn", b"x").target_model == NEW
    assert service.looked_up == ["churn"] * 2


def test_fifty_threads_that_find_a_model_removed_all_call_the_new_one(
    service: Service, client: MultiModelClient
) -> None:
    service.names(churn=OLD)
    client.invoke("churn", b"x")
    service.names(churn=NEW)
    together = threading.Barrier(50)

    def model(name: str, _: bytes) -> Reply:
        if name == NEW:
            return Reply()
        together.wait(60)
        return VALIDATION

    service.model = model
    with ThreadPoolExecutor(50) as pool:
        answers = [*pool.map(lambda _: client.invoke("churn", b"x").target_model, range(50))]
    assert answers == [NEW] * 50


def test_a_wrong_request_while_s3_fails_takes_an_alias_from_nobody(
    service: Service, client: MultiModelClient, clock: Clock
) -> None:
    service.names(churn=OLD)
    client.invoke("churn", b"x")

    def alias(_: str) -> Reply:
        clock.sleep(1)
        return SLOW_DOWN

    service.alias = alias
    service.replies(VALIDATION, Reply())
    with pytest.raises(ClientError, match=r"\(ValidationError\)"):
        client.invoke("churn", b"wrong")
    assert client.invoke("churn", b"right").target_model == OLD


def test_a_request_that_the_right_model_refuses_is_sent_once(service: Service, client: MultiModelClient) -> None:
    service.names(churn=OLD)
    service.replies(VALIDATION)
    with pytest.raises(ClientError, match=r"\(ValidationError\)"):
        client.invoke("churn", b"x")
    assert service.invoked == [OLD]


def test_a_client_without_models_says_what_aliases_need(service: Service, session: boto3.session.Session) -> None:
    client = MultiModelClient("endpoint", session=session)
    with pytest.raises(ValueError, match=r"got 'churn': for aliases give the client models='s3://bucket/prefix/'"):
        client.invoke("churn", b"x")
    with pytest.raises(ValueError, match="models must be s3://bucket/prefix/"):
        MultiModelClient("endpoint", models="bucket", session=session)
