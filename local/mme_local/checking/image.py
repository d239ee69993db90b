"""What can be said of an image before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mme_local.checking import rules
from mme_local.checking.rules import Finding, Verdict
from mme_local.hosting.images import label_problem
from mme_local.servers.docker.client import Image

_SHELL_FORM = ["/bin/sh", "-c"]


def image_findings(name: str, image: Image) -> Iterator[Finding]:
    """Check an image that is on this machine."""
    problem = label_problem(name, image.labels, multi_model=True, pipeline=False)
    yield Finding(rules.MULTI_MODEL_LABEL, Verdict.FAILS if problem else Verdict.OK, problem or "")
    problem = label_problem(name, image.labels, multi_model=False, pipeline=True)
    yield Finding(rules.PIPELINE_LABEL, Verdict.WARNS if problem else Verdict.OK, problem or "")
    yield _architecture(image.architecture)
    yield _user(image.user)
    yield _entry_point(image.entry_point)


def _architecture(architecture: str) -> Finding:
    if architecture == "amd64":
        return Finding(rules.ARCHITECTURE, Verdict.OK, "amd64, for all instance types but Graviton's")
    if architecture == "arm64":
        detail = "arm64, for Graviton's instance types alone: for all others build it with --platform linux/amd64"
        return Finding(rules.ARCHITECTURE, Verdict.WARNS, detail)
    detail = f"{architecture}, of no instance type: build it with --platform linux/amd64 or linux/arm64"
    return Finding(rules.ARCHITECTURE, Verdict.FAILS, detail)


def _user(user: str) -> Finding:
    if user.partition(":")[0] in ("", "0", "root"):
        return Finding(rules.USER, Verdict.OK, "root")
    return Finding(rules.USER, Verdict.WARNS, f"{user}: AWS asks for root")


def _entry_point(entry_point: Sequence[str]) -> Finding:
    if not entry_point:
        return Finding(rules.ENTRY_POINT, Verdict.OK, "none: it runs a program called serve")
    if list(entry_point[:2]) == _SHELL_FORM:
        detail = 'is run by a shell: write it as ENTRYPOINT ["program", "argument"]'
        return Finding(rules.ENTRY_POINT, Verdict.WARNS, detail)
    if Path(entry_point[0]).name.startswith("tini"):
        return Finding(rules.ENTRY_POINT, Verdict.WARNS, "is tini, which AWS says can't be used, for serve confuses it")
    return Finding(rules.ENTRY_POINT, Verdict.OK, " ".join(entry_point))
