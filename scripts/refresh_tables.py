"""Regenerate the tables in ``_data`` from the packages that AWS and moto publish, and say what changed.

``make refresh`` runs it, and the other scripts that make tables. The versions are pinned here; name newer ones as
arguments, then read the diff, run the tests and pin them. Newer tags and ends of patch come from a checkout, see
``scripts/deep_learning_containers.py``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts import deep_learning_containers
from scripts.image_table import image_table
from scripts.instance_table import instance_table

ROOT = Path(__file__).parent.parent
DATA = ROOT / "constructs" / "cdk_multi_model_endpoint" / "_rules" / "_data"
INSTANCES = ROOT / "toolkit" / "multi_model_endpoint" / "instances" / "_data"
VERSIONS = {"sagemaker-core": "2.27.0", "botocore": "1.44.5", "moto": "5.2.5"}


def main() -> None:
    """Download, derive, compare, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for package, version in VERSIONS.items():
        parser.add_argument(f"--{package}", default=version, metavar="VERSION", help=f"default: {version}")
    parser.add_argument("--deep-learning-containers", type=Path, metavar="CHECKOUT", help="read AWS's list anew")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something would change")
    arguments = parser.parse_args()
    versions = {package: getattr(arguments, package.replace("-", "_")) for package in VERSIONS}
    if arguments.deep_learning_containers is not None:
        listing = _text(deep_learning_containers.read(arguments.deep_learning_containers))
        deep_learning_containers.KEPT.write_text(listing, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        wheels = {package: zipfile.ZipFile(_download(package, versions[package], folder)) for package in VERSIONS}
        tables = {
            DATA / "images.json": image_table(
                wheels["sagemaker-core"],
                wheels["botocore"],
                deep_learning_containers.kept(),
                f"sagemaker-core {versions['sagemaker-core']} (sagemaker/core/image_uri_config/*.json), "
                f"botocore {versions['botocore']} (partitions.json) and {deep_learning_containers.kept().source}, "
                f"all Apache-2.0; ends of patch also from {deep_learning_containers.ML_FRAMEWORKS_PAGE}",
            ),
            INSTANCES / "instance_types.json": instance_table(
                wheels["botocore"],
                wheels["moto"],
                f"botocore {versions['botocore']} (ProductionVariantInstanceType) and "
                f"moto {versions['moto']} (EC2 instance types), both Apache-2.0",
            ),
        }
    texts = {path: _text(table) for path, table in tables.items()}
    for path in (ROOT / "NOTICE", ROOT / "toolkit" / "NOTICE"):
        notice = path.read_text(encoding="utf-8")
        for package, version in versions.items():
            notice = re.sub(rf"\b{package} \d+(\.\d+)+", f"{package} {version}", notice)
        texts[path] = notice
    changed = False
    for path, text in texts.items():
        before = path.read_text(encoding="utf-8") if path.exists() else "{}"
        if before == text:
            print(f"{path.name}: unchanged")
            continue
        changed = True
        print(f"{path.name}:")
        if path.suffix == ".json":
            for line in changes(json.loads(before), json.loads(text)):
                print(f"  {line}")
        if not arguments.check:
            path.write_text(text, encoding="utf-8")
    if arguments.check and changed:
        sys.exit("the tables are not what these packages give")


def _download(package: str, version: str, folder: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--only-binary=:all:", "--dest", folder, f"{package}=={version}"], check=True)
    (wheel,) = Path(folder).glob(f"{package.replace('-', '_')}-{version}-*.whl")
    return wheel


def changes(before: Mapping[str, Any], after: Mapping[str, Any], *path: str) -> Iterator[str]:
    """What was added, removed and changed, one line each."""
    before, after = _keyed(before), _keyed(after)
    for key in before | after:
        where = " ".join((*path, key))
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from changes(old, new, *path, key)
        elif isinstance(old, list) and isinstance(new, list):
            yield from (f"- {where}: {item}" for item in old if item not in new)
            yield from (f"+ {where}: {item}" for item in new if item not in old)
        elif key not in before:
            yield f"+ {where}: {_short(new)}"
        elif key not in after:
            yield f"- {where}: {_short(old)}"
        else:
            yield f"~ {where}: {_short(old)} -> {_short(new)}"


def _keyed(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with its rows by name."""
    rows = table.get("images")
    if not isinstance(rows, list):
        return dict(table)
    return {**table, "images": {f"{row['repository']}:{row['tag']}": row for row in rows}}


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 100 else f"{text[:97]}..."


def _text(table: Mapping[str, Any]) -> str:
    """JSON with a line for each row, so that a diff says what changed."""
    parts = []
    for key, value in table.items():
        if isinstance(value, list):
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value)
            parts.append(f" {json.dumps(key)}: [\n{rows}\n ]")
        elif isinstance(value, dict):
            rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in value.items())
            parts.append(f" {json.dumps(key)}: {{\n{rows}\n }}")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
