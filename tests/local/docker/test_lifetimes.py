"""Nothing in Docker outlives the server, however it and its launchers end, and whatever they are doing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from .conftest import Images, Site, labelled, multi_model
from .registry import Registry

StartSite = Callable[..., Site]

pytestmark = pytest.mark.usefixtures("again")
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])


def busy(site: Site, images: Images) -> str:
    """Have it start a container, load a model, and serve one with a program that does not heed SIGTERM.

    Returns:
        The endpoint whose container is starting.
    """
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
    starting = site.start(site.model(multi_model(images.usual, START_SECONDS="60")))
    site.eventually(lambda: len(site.launchers()) > len(before))
    return starting


def pulling(site: Site, registry: Registry) -> str:
    """Have it pull an image, of which the registry keeps a part back.

    Returns:
        The endpoint that waits for it.
    """
    waiting = site.start(site.model(multi_model(registry.image)))
    assert registry.asked.wait(60)
    assert pulls(registry.image)
    return waiting


def pulls(image: str) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if (each.info["cmdline"] or [])[1:2] == ["pull"] and image in each.info["cmdline"]]


def kill(processes: Iterable[psutil.Process]) -> None:
    with suppress(psutil.NoSuchProcess):
        for process in processes:
            process.kill()


@SIGNALS
def test_nothing_outlives_the_server(own_site: StartSite, images: Images, number: signal.Signals) -> None:
    site = own_site()
    busy(site, images)
    folder = site.folder
    site.local.process.send_signal(number)
    site.local.process.wait(60)
    site.eventually(lambda: labelled(folder) == [])


def test_a_server_ends_when_what_it_was_removing_is_gone(own_site: StartSite, images: Images) -> None:
    site = own_site()
    site.put("a")
    endpoint = site.deploy(multi_model(images.usual, STUBBORN="yes"))
    assert site.call(endpoint, model="a").startswith("a|")
    site.delete(endpoint)
    site.local.stop()
    assert labelled(site.folder) == []


@SIGNALS
def test_no_pull_outlives_the_server(own_site: StartSite, registry: Registry, number: signal.Signals) -> None:
    site = own_site()
    pulling(site, registry)
    site.local.process.send_signal(number)
    site.local.process.wait(60)
    site.eventually(lambda: not pulls(registry.image))


def test_what_killed_launchers_leave_is_removed_and_replaced(own_site: StartSite, images: Images) -> None:
    site = own_site()
    starting = busy(site, images)
    before = set(labelled(site.folder))
    kill(site.launchers())
    assert site.settled(starting)[0] == "Failed"

    def replaced() -> bool:
        found = labelled(site.folder)
        return len(found) == 4 and before.isdisjoint(found)  # two containers, each in a network of its own

    site.eventually(replaced, 180)
    site.local.stop()
    assert labelled(site.folder) == []


def test_a_pull_whose_launcher_is_killed_ends_and_fails_the_endpoint(site: Site, registry: Registry) -> None:
    waiting = pulling(site, registry)
    (pull,) = pulls(registry.image)
    launcher = pull.parent()
    assert launcher is not None
    launcher.kill()
    status, reason = site.settled(waiting)
    assert status == "Failed"
    assert f"image {registry.image} could not be pulled" in reason
    assert not pulls(registry.image)
    site.delete(waiting)


def test_the_next_start_removes_what_was_killed_with_its_launchers(own_site: StartSite, images: Images) -> None:
    site = own_site()
    busy(site, images)
    folder, server = site.folder, psutil.Process(site.local.process.pid)
    launchers = site.launchers()
    for process in (server, *launchers):
        process.suspend()  # so that none sees another's end
    kill(launchers)
    # while the server holds its lock, nobody else that starts meanwhile removes anything
    assert labelled(folder)
    kill([server])
    site.local.process.wait(60)
    own_site()
    site.eventually(lambda: labelled(folder) == [])


def test_a_pull_that_was_killed_with_its_launcher_has_ended(own_site: StartSite, registry: Registry) -> None:
    site = own_site()
    pulling(site, registry)
    processes = [psutil.Process(site.local.process.pid), *site.launchers()]
    for process in processes:
        process.suspend()
    kill(processes)
    site.eventually(lambda: not pulls(registry.image))
