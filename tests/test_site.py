"""The site as ``make docs`` builds it, from its files and in a real browser."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from websockets.sync.client import ClientConnection, connect

import cdk_multi_model_endpoint
import multi_model_endpoint
from mme_local import testing

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SEARCHES = {
    "target model": "models.html",
    "507": "containers.html",
    "canary": "guides/safe-updates.html",
    "unknownImage": "rules.html",
    "tenants": "guides/tenants.html",
    "mme push": "models.html",
    "ModelNotReadyException": "client.html",
    "scale_on_invocations": "api/variants.html",
    "snapshot test": "guides/testing.html",
    "MLflow": "registries.html",
    "grant_invoke": "guides/tenants.html",
    "cost": "sizing.html",
}

SCHEME = "document.body.getAttribute('data-md-color-scheme')"
CODE = """(() => {
  const channel = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true})
  const drawn = (...colors) => {
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1) }
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  const code = document.querySelector('pre > code')
  const back = getComputedStyle(code).backgroundColor
  const behind = light(drawn(back))
  const spans = [...code.querySelectorAll('span[class]')].filter(span => span.textContent.trim())
  const contrasts = spans.map(span => light(drawn(back, getComputedStyle(span).color)))
    .map(text => (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05))
  return [contrasts, parseFloat(getComputedStyle(code).fontSize), code.getBoundingClientRect().width]
})()"""
TYPE = """(() => {
  const input = document.querySelector('input[data-md-component=search-query]')
  input.focus()
  input.value = %s
  input.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}))
})()"""
FOUND = """[...document.querySelectorAll('.md-search-result__item')].slice(0, 5)
  .map(item => new URL(item.querySelector('a').href).pathname.slice(1))"""


class Links(HTMLParser):
    """What a page is, links to, and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attributes if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon"):
            self.loads.add(given["href"])
        self.loads |= {part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()}
        if "src" in given:
            self.loads.add(given["src"])


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Links]:
    return {
        path.relative_to(site).as_posix(): Links(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
        if path.name != "404.html"  # whose links begin where the site is
    }


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Browser:
    """A tab of Chromium, by its DevTools protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[Any] = []
        self.requests: set[str] = set()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            if (message := self._receive()).get("id") == number:
                assert "result" in message, message
                return message["result"]

    def show(self, url: str, screen: dict[str, Any], scheme: str) -> None:
        """Load a page, as a phone or a desktop with a light or dark scheme has it."""
        self.send("Emulation.setDeviceMetricsOverride", **screen)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("Page.navigate", url=url)
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=60))
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown" | "Log.entryAdded":
                self.complaints.append(parameters)
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.complaints.append(parameters)
            case "Network.requestWillBeSent":
                self.requests.add(parameters["request"]["url"])
        return message


@pytest.fixture(scope="module")
def browser(
    chromium: str, tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., Any]
) -> Iterator[Browser]:
    profile = tmp_path_factory.mktemp("profile")
    command = [chromium, *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with (profile / "output.txt").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        file = profile / "DevToolsActivePort"
        eventually(lambda: file.exists() and len(file.read_text().splitlines()) == 2)
        with urllib.request.urlopen(f"http://127.0.0.1:{file.read_text().split()[0]}/json/list") as answer:
            (tab,) = [tab for tab in json.load(answer) if tab["type"] == "page"]
        with connect(tab["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Browser(socket)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_every_link_leads_to_a_page_and_to_what_is_on_it(site: Path, pages: dict[str, Links]) -> None:
    dead = []
    for page, found in pages.items():
        for link in found.links | found.loads:
            target, anchor = urldefrag(urljoin(f"http://site/{page}", link))
            name = unquote(target.removeprefix("http://site/")) or "index.html"
            if target.startswith("http://site/"):
                there = pages.get(name)
                if not (site / name).is_file() or (anchor and there and unquote(anchor) not in there.anchors):
                    dead.append((page, link))
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, Links]) -> None:
    assert {load for page in pages.values() for load in page.loads if ":" in load} == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert "url(http" not in styles
    assert "@import" not in styles


def test_every_public_name_has_a_place(pages: dict[str, Links]) -> None:
    anchors = {anchor for page, found in pages.items() if page.startswith("api/") for anchor in found.anchors}
    packages = (cdk_multi_model_endpoint, multi_model_endpoint, testing)
    names = {f"{package.__name__}.{name}" for package in packages for name in package.__all__}
    assert names - anchors == set()


def test_every_page_fits_a_phone(browser: Browser, address: str, pages: dict[str, Links]) -> None:
    # scripts change no width, and each page would read the whole search index by them
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    too_wide = []
    for page in pages:
        browser.show(address + page, PHONE, "light")
        if browser.ask("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(page)
    browser.send("Emulation.setScriptExecutionDisabled", value=False)
    assert too_wide == []


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_code_can_be_read(browser: Browser, address: str, screen: dict[str, Any], scheme: str) -> None:
    browser.show(f"{address}guides/safe-updates.html", screen, scheme)
    assert browser.ask(SCHEME) == {"light": "default", "dark": "slate"}[scheme]
    contrasts, size, width = browser.ask(CODE)
    assert min(contrasts) >= 4.5  # https://www.w3.org/TR/WCAG22/#contrast-minimum
    assert size >= 12
    assert width <= screen["width"]


def test_a_button_goes_from_the_systems_colours_to_light_and_dark(
    browser: Browser, address: str, eventually: Callable[..., Any]
) -> None:
    browser.show(address, DESKTOP, "dark")
    for expected in ("default", "slate"):
        browser.ask("document.querySelector('form[data-md-component=palette] label:not([hidden])').click()")
        eventually(lambda expected=expected: browser.ask(SCHEME) == expected)
    browser.ask("localStorage.clear()")


def test_search_finds_what_a_user_types(browser: Browser, address: str, eventually: Callable[..., Any]) -> None:
    browser.show(address, DESKTOP, "light")
    browser.ask("document.querySelector('label[for=__search]').click()")
    for words, page in SEARCHES.items():
        browser.ask(TYPE % json.dumps(words))
        eventually(lambda page=page: page in browser.ask(FOUND))


def test_no_page_complained_or_asked_anybody_else(browser: Browser, address: str) -> None:
    for page in ("index.html", "api/endpoint.html", "guides/safe-updates.html"):
        browser.show(address + page, DESKTOP, "light")
    assert browser.complaints == []
    assert {url for url in browser.requests if not url.startswith((address, "data:", "blob:"))} == set()
