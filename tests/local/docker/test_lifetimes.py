"""Nothing in Docker outlives the server, however it and its launchers end, and whatever they are doing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from .conftest import Images, Site, labelled, multi_model

StartSite = Callable[..., Site]
TIMES = 3


def busy(site: Site, images: Images) -> None:
    """Have it start a container, load a model, and serve one with a program that does not heed SIGTERM."""
    site.put("a")
    site.put("slow", load_seconds="60")
    serving, loading = site.deploy_all(
        [multi_model(images.usual, STUBBORN="yes")],
        [multi_model(images.usual)],
    )
    assert site.call(serving, model="a").startswith("a|")

    def call() -> None:
        with suppress(ClientError, BotoCoreError):
            site.call(loading, model="slow")

    threading.Thread(target=call, daemon=True).start()
    site.eventually(lambda: site.local.log.read_text().count('"downloaded"') == 2)
    before = site.launchers()
    site.start(site.model(multi_model(images.usual, START_SECONDS="60")))
    site.eventually(lambda: len(site.launchers()) > len(before))


def nothing_left(folder: str) -> bool:
    return labelled("container", folder) + labelled("network", folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("time", range(TIMES))
def test_nothing_outlives_the_server(own_site: StartSite, images: Images, number: signal.Signals, time: int) -> None:
    site = own_site()
    busy(site, images)
    folder = site.folder
    site.local.process.send_signal(number)
    site.local.process.wait(60)
    site.eventually(lambda: nothing_left(folder))


def test_what_launchers_that_are_killed_leave_is_replaced(own_site: StartSite, images: Images) -> None:
    site = own_site()
    site.deploy_all(*[[{"Image": images.model_inside}] for _ in range(TIMES)])
    before = set(site.containers())
    for launcher in site.launchers():
        launcher.kill()
    site.eventually(lambda: len(site.containers()) == TIMES and before.isdisjoint(site.containers()))


def test_the_next_start_removes_what_was_killed_with_its_launchers(own_site: StartSite, images: Images) -> None:
    site = own_site()
    busy(site, images)
    folder = site.folder
    processes = [psutil.Process(site.local.process.pid), *site.launchers()]
    for process in processes:
        process.suspend()  # so that none sees another's end
    for process in processes:
        process.kill()
    site.local.process.wait(60)
    assert not nothing_left(folder)
    own_site()
    site.eventually(lambda: nothing_left(folder))
