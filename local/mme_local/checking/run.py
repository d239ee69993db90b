"""The checks of one image, in two containers: the second is told which port to listen on."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from mme_local.checking import rules
from mme_local.checking.calls import Calls, NoAnswer, Payload, session
from mme_local.checking.container import CheckedContainer
from mme_local.checking.contract import Contract
from mme_local.checking.image import image_findings
from mme_local.checking.models import Models
from mme_local.checking.rules import Check, Finding, NotOk, Verdict
from mme_local.hosting.images import label_problem
from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.base import ServerError
from mme_local.servers.docker.client import Docker, Image

GRACE_SECONDS = 30.0
USUAL_START_SECONDS = 240.0

_PORT = 15000
_END_SECONDS = 30.0
_KILLED = 137


class ImageCheck:
    """Checks an image that is on this machine.

    Args:
        name: The image's name.
        image: What is known of it.
        docker: Runs it.
        folder: For its files and output.
        report: Is told each finding at once.
    """

    def __init__(
        self, name: str, image: Image, docker: Docker, folder: Path, report: Callable[[Finding], None]
    ) -> None:
        self._name = name
        self._image = image
        self._docker = docker
        self._folder = folder
        self._report = report
        self.output = ""
        """How the output of the first container that failed begins and ends."""

    async def run(
        self, models: Models, payload: Payload | None, environment: Mapping[str, str], seconds: float
    ) -> None:
        """Do all checks.

        Args:
            models: What the containers load.
            payload: What the models are called with.
            environment: The containers' variables.
            seconds: How long a start may take.
        """
        for finding in image_findings(self._name, self._image):
            self._report(finding)
        container = self._container("alone", environment)
        started = time.monotonic()
        if not await self._starts(container, models, rules.START, seconds):
            return
        took = time.monotonic() - started
        try:
            self._report(_start(took))
            await self._contract(container, models, payload)
            await self._tell(container, rules.TERMINATION, lambda: _termination(container))
        finally:
            await container.stop()
        beside_others = self._container("beside others", environment, _PORT)
        if await self._starts(beside_others, models, rules.BIND_PORT, min(seconds, second_start(took))):
            await beside_others.stop()
            self._report(Finding(rules.BIND_PORT, Verdict.OK, f"listens on port {_PORT} when told to"))

    def _container(self, name: str, environment: Mapping[str, str], port: int | None = None) -> CheckedContainer:
        spec = ContainerSpec(self._name, True, environment=environment, port=port)
        return CheckedContainer(spec, self._folder / name, self._docker)

    async def _starts(self, container: CheckedContainer, models: Models, check: Check, seconds: float) -> bool:
        try:
            await container.start(seconds, models.folder)
        except ServerError as error:
            why = str(error).partition("\n")[0].rstrip(":")
            verdict = Verdict.FAILS
            if check is rules.BIND_PORT:
                why = f"does not listen on the port that it names, {_PORT}: {why}"
                problem = label_problem(self._name, self._image.labels, multi_model=False, pipeline=True)
                verdict = Verdict.WARNS if problem else Verdict.FAILS
            self.output = self.output or container.log_excerpt()
            self._report(Finding(check, verdict, why))
            return False
        return True

    async def _contract(self, container: CheckedContainer, models: Models, payload: Payload | None) -> None:
        memory = None if self._docker.memory is None else self._docker.memory // 1024**2
        async with session(container.base) as made:
            for check, step in Contract(Calls(made), models, payload, memory).steps():
                await self._tell(container, check, step)

    async def _tell(self, container: CheckedContainer, check: Check, step: Callable[[], Awaitable[str]]) -> None:
        """Do one check and report what came out."""
        if await container.ended(0) is not None:
            self._report(Finding(check, Verdict.NOT_TESTED, "the container has ended"))
            return
        try:
            finding = Finding(check, Verdict.OK, await step())
        except NotOk as outcome:
            finding = Finding(check, outcome.verdict, str(outcome))
        except NoAnswer as error:
            finding = Finding(check, Verdict.FAILS, str(error) + await _end(container))
        if finding.verdict is Verdict.FAILS:
            self.output = self.output or container.log_excerpt()
        self._report(finding)


def second_start(took: float) -> float:
    """How many seconds a start may take after one that took so many."""
    return 3 * took + 60


def _start(took: float) -> Finding:
    if took <= USUAL_START_SECONDS:
        return Finding(rules.START, Verdict.OK, f"after {took:.1f} s")
    detail = f"after {took:.0f} s: more than 240 take container_startup_health_check_timeout"
    return Finding(rules.START, Verdict.WARNS, detail)


async def _termination(container: CheckedContainer) -> str:
    started = time.monotonic()
    try:
        await container.terminate()
    except ServerError as error:  # it may be gone before that is known here
        raise NotOk(Verdict.NOT_TESTED, str(error)) from error
    if await container.ended(GRACE_SECONDS) is None:
        raise NotOk(Verdict.WARNS, f"still runs {GRACE_SECONDS:g} s after it")
    return f"ends {time.monotonic() - started:.1f} s after it"


async def _end(container: CheckedContainer) -> str:
    """What became of a container that did not answer."""
    status = await container.ended(_END_SECONDS)
    if status is None:
        return ""
    by_memory = ": beyond its memory it is killed" if status == _KILLED else ""
    return f", and ended with status {status}{by_memory}"
