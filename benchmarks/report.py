"""What a run has measured, as data and as Markdown."""

from __future__ import annotations

import os
import platform
import subprocess
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from tabulate import tabulate

PACKAGES = ("aws-cdk-lib", "boto3", "ministack", "multi-model-server", "nvidia-pytriton")


@dataclass(frozen=True)
class Section:
    """One table of the benchmark.

    Attributes:
        name: What it is called on the command line.
        title: Its heading.
        text: What the figures are.
        rows: Measures them; all rows have the same columns.
        smallest: The arguments of ``rows`` with which it is done soonest, for the test that it still runs.
    """

    name: str
    title: str
    text: str
    rows: Callable[..., list[dict[str, Any]]]
    smallest: Mapping[str, Any]

    def measure(self) -> dict[str, Any]:
        """Measure it; what goes wrong is said in the place of the rows, so that the other sections count."""
        try:
            found: dict[str, Any] = {"rows": self.rows()}
        except Exception as error:
            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {error}"}
        return {"name": self.name, "title": self.title, "text": self.text, **found}


def circumstances() -> dict[str, Any]:
    """On what is measured, and when."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": said_by("git", "describe", "--always", "--dirty", "--exclude=*"),
        "machine": f"{platform.system()} {platform.machine()}, {processor()}",
        "cores": os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "load": round(os.getloadavg()[0], 2),
        "versions": {
            "Python": platform.python_version(),
            "Node.js": said_by("node", "--version").removeprefix("v"),
            **{name: version(name) for name in PACKAGES},
        },
    }


def processor() -> str:
    """What the processor calls itself."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor")


def said_by(*command: str) -> str:
    """What a program prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()  # noqa: S603


def page(results: Mapping[str, Any]) -> str:
    """The whole run as Markdown."""
    run = results["run"]
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    return "\n\n".join(
        (
            "# Benchmark",
            f"One run of `make bench`, {run['date']}, commit {run['commit']}: {run['machine']}, {run['cores']} cores,"
            f" {run['memory']}; load average {run['load']} at the start; {versions}."
            " [How fast it is](../docs/speed.md) says what the figures mean.",
            *(chapter(section) for section in results["sections"]),
        )
    )


def merged(last: Mapping[str, Any], fresh: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The last results with fresh sections, which say when they were measured, and without those that are no more."""
    sections = {section["name"]: section for section in last["sections"]}
    sections |= {section["name"]: section | {"run": fresh["run"]} for section in fresh["sections"]}
    return {**last, "sections": [sections[name] for name in names if name in sections]}


def chapter(section: Mapping[str, Any]) -> str:
    """A section as Markdown."""
    parts = [f"## {section['title']}", section["text"]]
    if (run := section.get("run")) is not None:
        parts.append(f"Measured by itself, {run['date']}, commit {run['commit']}; load average {run['load']}.")
    parts.append(table(section["rows"]) if "rows" in section else f"Not measured: {section['error']}")
    return "\n\n".join(parts)


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    cells = [[shown(value) for value in row.values()] for row in rows]
    alignment = ["left", *["right"] * (len(rows[0]) - 1)]
    return tabulate(cells, list(rows[0]), tablefmt="github", disable_numparse=True, colalign=alignment)


def shown(value: Any) -> str:
    """A cell of the table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
