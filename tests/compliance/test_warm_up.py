"""What cdk-nag finds of a warm-up is what the page says, with its reasons; the stacks have none."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_events as events
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint, WarmUpCall


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an app with a warm-up and cdk-nag synthesizes."""
    app = cdk.App(outdir=str(tmp_path_factory.mktemp("cdk.out")))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
    stack = cdk.Stack(app, "Stack")
    image = InferenceImage.built_in("xgboost", "3.2-0")
    endpoint = MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(image=image, model_store=ModelStore(stack, "Models")),
        instance_type="ml.m5.xlarge",
    )
    schedule = events.Schedule.rate(cdk.Duration.minutes(15))
    endpoint.warm_up("WarmUp", [WarmUpCall("churn.tar.gz", "1,2", "text/csv")], schedule=schedule)
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    return Path(app.outdir)


def test_findings_are_those_of_the_page(assembly: Path, root: Path) -> None:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for report in json.loads((assembly / "validation-report.json").read_text())["pluginReports"]:
        for violation in report["violations"]:
            for construct in violation["violatingConstructs"]:
                _, below, path = construct["constructPath"].partition("/WarmUp/")
                if below:
                    found[path.partition("/")[0]].add(violation["ruleName"])
    page = (root / "docs" / "warm-up.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(function|role|log_group)` \| (.+?) \| .+ \|$", page, re.MULTILINE)
    listed = {name: {*re.findall(r"`([^`]+)`", findings)} for name, findings in rows}
    ids = {"function": "Function", "role": "Role", "log_group": "Logs"}
    assert {ids[name]: findings for name, findings in listed.items()} == found


def test_cfn_lint_finds_nothing(assembly: Path) -> None:
    # W3005 is the CDK's own: its Lambda functions name their role twice
    command = ["cfn-lint", "--ignore-checks", "W3005", "--regions", "us-east-1", "--"]
    result = subprocess.run(
        [*command, str(assembly / "Stack.template.json")], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")
