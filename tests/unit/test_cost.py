"""What an endpoint costs the app that makes it, in what can be counted. How long that takes, ``make bench`` says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.synthesis import MODULES, SUBJECTS, measure

IMPORTS = f"""
import json, sys
import aws_cdk
from aws_cdk import {", ".join(MODULES)}
from jsii._kernel.providers.process import _NodeProcess

asked = []
send = _NodeProcess.send
_NodeProcess.send = lambda self, request, *more: asked.append(repr(request)) or send(self, request, *more)
before = set(sys.modules)
import cdk_multi_model_endpoint
print(json.dumps([asked, sorted(set(sys.modules) - before)]))
"""


@pytest.mark.parametrize(
    ("subject", "by_hand", "at_most"),
    [
        (
            "bare: ours",
            "bare: L1s, iam.Role",
            {"round trips": 21, "of a further one": 17, "resources": 6, "template bytes": 2_900},
        ),
        (
            "full: ours",
            "full: L1s, iam.Role",
            {"round trips": 39, "of a further one": 35, "resources": 10, "template bytes": 4_800},
        ),
    ],
)
def test_an_endpoint_takes_few_calls_of_the_cdk(subject: str, by_hand: str, at_most: dict[str, int]) -> None:
    counted, hand_written = measure(SUBJECTS[subject]), measure(SUBJECTS[by_hand])
    assert {name: counted[name] for name in at_most if counted[name] > at_most[name]} == {}
    assert counted["round trips"] <= 1.2 * hand_written["round trips"]


def test_importing_the_library_asks_nothing_of_the_cdk_and_brings_few_modules() -> None:
    result = subprocess.run([sys.executable, "-c", IMPORTS], check=True, stdout=subprocess.PIPE, text=True)
    asked, modules = json.loads(result.stdout)
    assert asked == []
    assert [module for module in modules if module.startswith("aws_cdk.")] == []
    packages = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names
    assert packages == {"cdk_multi_model_endpoint", "multi_model_endpoint"}
    assert len(modules) <= 85
