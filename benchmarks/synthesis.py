"""What an endpoint costs an app: calls of jsii, seconds, resources, template; and what importing the library costs."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from benchmarks.round_trips import READS, round_trips
from benchmarks.subjects import ACCOUNT, REGION, SUBJECTS, Subject
from cdk_multi_model_endpoint import ModelStore

ROUNDS = 7
MODULES = [
    "aws_applicationautoscaling",
    "aws_cloudwatch",
    "aws_cloudwatch_actions",
    "aws_codestarnotifications",
    "aws_ec2",
    "aws_ecr",
    "aws_ecr_assets",
    "aws_events",
    "aws_iam",
    "aws_kms",
    "aws_lambda",
    "aws_logs",
    "aws_s3",
    "aws_s3_assets",
    "aws_sagemaker",
    "aws_sns",
    "custom_resources",
]
"""The modules of aws_cdk that the library imports, too."""


def measure(make: Subject) -> dict[str, int]:
    """What is counted of a subject: the round trips of the first in a stack, of another there, and the template."""
    make(*_place("Warm"))  # loads and reads what a process needs once
    stack, _, store = _place("Counted")
    without = _template(stack)
    stack, _, store = _place("Counted")
    with round_trips() as first:
        make(stack, "Endpoint", store)
    with_it = _template(stack)
    stack, _, store = _place("Counted")
    make(stack, "Endpoint", store)
    with round_trips() as further:
        make(stack, "Further", store)
    return {
        "round trips": first.total(),
        "without reads": sum(count for kind, count in first.items() if kind not in READS),
        "of a further one": further.total(),
        "resources": len(with_it["Resources"]) - len(without["Resources"]),
        "template bytes": _bytes(with_it) - _bytes(without),
    }


def rows(*, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row for each subject: what is counted, and the median of the seconds to make and synthesize a stack of it."""
    counts = {name: measure(make) for name, make in SUBJECTS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in SUBJECTS}
    for _ in range(rounds):  # in turns, so that what else the machine does hits all alike
        for name, make in SUBJECTS.items():
            seconds[name].append(_seconds(make))
    return [
        {"subject": name, **counted, "seconds": statistics.median(seconds[name])} for name, counted in counts.items()
    ]


def import_rows(*, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """What ``import cdk_multi_model_endpoint`` adds to an app that imports the same modules of aws_cdk."""
    with tempfile.TemporaryDirectory() as compiled:
        _imported(compiled)  # compiles all
        found = [_imported(compiled) for _ in range(rounds)]
    return [
        {
            "import": "cdk_multi_model_endpoint",
            # the best round: whatever else the machine does can only slow the others down
            "milliseconds": min(milliseconds for milliseconds, _ in found),
            "modules": found[0][1],
        }
    ]


def _imported(compiled: str) -> tuple[float, int]:
    """The milliseconds and the number of the modules that are imported with the library, and not before it."""
    program = f"import aws_cdk\nfrom aws_cdk import {', '.join(MODULES)}\nimport cdk_multi_model_endpoint"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(  # noqa: S603 - this program itself
        [sys.executable, "-X", "importtime", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    lines = re.findall(r"^import time: +\d+ \| +(\d+) \|( +)(\S+)$", done.stderr, re.MULTILINE)
    *before, (microseconds, depth, _) = lines
    modules = 1
    while before and len(before.pop()[1]) > len(depth):
        modules += 1
    return int(microseconds) / 1000, modules


def _place(name: str) -> tuple[cdk.Stack, str, ModelStore]:
    stack = cdk.Stack(cdk.App(), name, env=cdk.Environment(account=ACCOUNT, region=REGION))
    return stack, "Endpoint", ModelStore(stack, "Models")


def _seconds(make: Subject) -> float:
    started = time.perf_counter()
    app = cdk.App()
    stack = cdk.Stack(app, "Stack", env=cdk.Environment(account=ACCOUNT, region=REGION))
    make(stack, "Endpoint", ModelStore(stack, "Models"))
    app.synth()
    return time.perf_counter() - started


def _template(stack: cdk.Stack) -> dict[str, Any]:
    assembly = cdk.App.of(stack).synth()  # type: ignore[union-attr]
    template: dict[str, Any] = json.loads(Path(assembly.directory, f"{stack.artifact_id}.template.json").read_text())
    return template


def _bytes(template: dict[str, Any]) -> int:
    return len(json.dumps(template, separators=(",", ":")))
