"""SBOMs of what users install, its licences, and what is known against it and the pins of development.

Usage: ``python -m scripts.audit``, after ``make dist``. It writes ``dist/sbom/*.cdx.json``, CycloneDX, and the table of
licences in ``docs/audit.md``. The exit status is 1 where a licence is none of those that are agreed to, a vulnerability is
known, or nobody can be asked: the advisories come from PyPI's JSON API, which mirrors often have not.
"""

from __future__ import annotations

import json
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
PARTS = {"cdk_multi_model_endpoint": (TOOLKIT,), TOOLKIT: (), "mme_local": (TOOLKIT,)}
"""The packages, and which of ours each needs."""
EXTRAS = {"cdk_multi_model_endpoint": (), TOOLKIT: ("load", "mlflow"), "mme_local": ()}

IGNORED: Mapping[str, str] = {}
"""Known vulnerabilities that stay, by their ids, and why."""

Component = dict[str, Any]


def main() -> int:
    """The exit status is 1 when something has to be decided."""
    wheels = wheels_in(ROOT / "dist")
    folder = ROOT / "dist" / "sbom"
    folder.mkdir(exist_ok=True)
    boms = {name: bom(name, wheels) for name in PARTS}
    for name, content in boms.items():
        (folder / f"{name.replace('_', '-')}.cdx.json").write_text(json.dumps(content, indent=1) + "\n")
    tool(*CYCLONEDX, "requirements", PINS, "--output-reproducible", "-o", folder / "development.cdx.json")
    rows = [row for name, content in boms.items() for row in licences(name, content)]
    write_page(rows)
    unknown = sorted({f"{row['package']}: {row['licence']}" for row in rows if not agreed(str(row["licence"]))})
    print("licences to be agreed to:", ", ".join(unknown) or "none")
    ignored = [option for name in IGNORED for option in ("--ignore-vuln", name)]
    audit = ("--requirement", PINS, "--no-deps", "--disable-pip", "--strict", "--progress-spinner=off", *ignored)
    asked = tool(*PIP_AUDIT, *audit, check=False)
    return int(bool(unknown) or asked != 0)


def tool(*arguments: str | Path, check: bool = True) -> int:
    """Run a program from PyPI in an environment of its own, and return its exit status."""
    command = [sys.executable, "-m", "uv", "--quiet", "tool", "run", *map(str, arguments)]
    return subprocess.run(command, check=check).returncode


def bom(name: str, wheels: Mapping[str, Path]) -> dict[str, Any]:
    """What comes with a package in the pinned versions, on this system and Python."""
    wanted = [line for part in (name, *PARTS[name]) for line in needs(wheels[part], EXTRAS[part])]
    others = [line for line in wanted if not line.startswith("multi-model-endpoint")]
    with tempfile.TemporaryDirectory() as folder:
        python = make_environment(Path(folder, "environment"))
        install(python, "--constraint", PINS, *others)
        output = Path(folder, "bom.json")
        tool(*CYCLONEDX, "environment", python, "--output-reproducible", "-o", output)
        content: dict[str, Any] = json.loads(output.read_text())
    content["metadata"]["component"] = own(wheels[name])
    content["components"] += [own(wheels[part]) for part in PARTS[name]]
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
        licence = " / ".join(dict.fromkeys(text.partition("\n")[0][:60] for text in texts))
        yield {"package": component["name"], "licence": licence or "unknown", "with": name.replace("_", "-")}


def agreed(licence: str) -> bool:
    """Whether a licence lets everybody use, change and pass on what is under it, as ours does."""
    lower = licence.lower()
    return any(
        word in lower for word in ("apache", "mit", "bsd", "isc", "psf", "python", "mpl", "mozilla", "0bsd", "hpnd")
    )


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
