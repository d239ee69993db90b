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


def starting(site: Site, images: Images) -> None:
    """A container that has been told to start, and does not answer yet."""
    site.start(site.model(multi_model(images.usual, START_SECONDS="60")))
    site.eventually(lambda: site.launchers())


def loading(site: Site, images: Images) -> None:
    """A model in the middle of its load."""
    site.put("slow", load_seconds="60")
    endpoint = site.deploy(multi_model(images.usual))

    def call() -> None:
        with suppress(ClientError, BotoCoreError):
            site.call(endpoint, model="slow")

    threading.Thread(target=call, daemon=True).start()
    site.eventually(lambda: "downloaded" in site.local.log.read_text())


def serving(site: Site, images: Images) -> None:
    """An endpoint that takes calls, with a program that does not heed SIGTERM."""
    site.put("a")
    site.call(site.deploy(multi_model(images.usual, STUBBORN="yes")), model="a")


def nothing_left(folder: str) -> bool:
    return labelled("container", folder) + labelled("network", folder) == []


@pytest.mark.parametrize("doing", [starting, loading, serving])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("time", range(TIMES))
def test_nothing_outlives_the_server(
    own_site: StartSite, images: Images, doing: Callable[[Site, Images], None], number: signal.Signals, time: int
) -> None:
    site = own_site()
    doing(site, images)
    folder = site.folder
    site.local.process.send_signal(number)
    site.local.process.wait(60)
    site.eventually(lambda: nothing_left(folder))


@pytest.mark.parametrize("time", range(TIMES))
def test_a_launcher_that_is_killed_leaves_nothing_and_is_replaced(
    own_site: StartSite, images: Images, time: int
) -> None:
    site = own_site()
    serving(site, images)
    before = site.containers()
    for launcher in site.launchers():
        launcher.kill()
    site.eventually(lambda: len(site.containers()) == 1 and site.containers() != before)


def test_the_next_start_removes_what_was_killed_with_its_launchers(own_site: StartSite, images: Images) -> None:
    site = own_site()
    serving(site, images)
    folder, launchers = site.folder, site.launchers()
    processes = [psutil.Process(site.local.process.pid), *launchers]
    for process in processes:
        process.suspend()  # so that none sees another's end
    for process in processes:
        process.kill()
    site.local.process.wait(60)
    assert not nothing_left(folder)
    own_site()
    site.eventually(lambda: nothing_left(folder))
