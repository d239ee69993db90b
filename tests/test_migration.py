"""What the pages on migration show works as shown: what comes after is what was before, and takes its place."""

from __future__ import annotations

import ast
import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from mme_local.testing import LocalEndpoint

PAGES = ("index", "from-boto3", "from-l1", "from-alpha", "from-sdk-v2", "from-terraform")
IN_CDK = ("from-l1", "from-alpha")
"""Where the page's stack takes the place of the one before it."""

Template = dict[str, Any]
Blocks = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def blocks(root: Path) -> Blocks:
    """Each page's Python blocks, by the file name in their first line."""
    folder = root / "docs" / "migration"
    named = re.compile(r"```python\n(# (\w+\.py)\n.*?)```", re.DOTALL)
    return {page: {name: text for text, name in named.findall((folder / f"{page}.md").read_text())} for page in PAGES}


@pytest.fixture(scope="module")
def template(blocks: Blocks, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Template]:
    """What a block's app synthesizes, as CloudFormation takes it without `cdk bootstrap`."""

    def synthesize(page: str, name: str) -> Template:
        file = tmp_path_factory.mktemp(page) / name
        file.write_text(blocks[page][name])
        (stack,) = runpy.run_path(str(file))["app"].synth().stacks
        return without_bootstrap(stack.template)

    return synthesize


def without_bootstrap(template: Template) -> Template:
    return {key: value for key, value in template.items() if key not in ("Parameters", "Rules")}


class Account:
    """Stacks and endpoints of the local endpoint."""

    def __init__(self, local: LocalEndpoint, eventually: Callable[..., Any]) -> None:
        self.formation = local.client("cloudformation")
        self.sagemaker = local.client("sagemaker")
        self._eventually = eventually

    def deploy(self, stack: str, template: Template, *, update: bool = False) -> None:
        change = self.formation.update_stack if update else self.formation.create_stack
        change(StackName=stack, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"])

        def status() -> str | None:
            found: str = self.formation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
            return None if found.endswith("_IN_PROGRESS") else found

        assert self._eventually(status) == ("UPDATE_COMPLETE" if update else "CREATE_COMPLETE")

    def endpoint(self, name: str) -> dict[str, Any]:
        def described() -> dict[str, Any] | None:
            answer: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            return answer if answer["EndpointStatus"] == "InService" else None

        found: dict[str, Any] = self._eventually(described)
        return found

    def hosted(self, name: str) -> dict[str, Any]:
        """What SageMaker runs under that name, without the names that each configuration has anew."""
        config = self.sagemaker.describe_endpoint_config(EndpointConfigName=self.endpoint(name)["EndpointConfigName"])
        (variant,) = config["ProductionVariants"]
        model = self.sagemaker.describe_model(ModelName=variant.pop("ModelName"))
        (container,) = model.get("Containers") or [model["PrimaryContainer"]]
        container.setdefault("MultiModelConfig", {"ModelCacheSetting": "Enabled"})  # SageMaker's default
        return {"variant": variant, "container": container}


@pytest.fixture(scope="module")
def account(control_plane: LocalEndpoint, eventually: Callable[..., Any]) -> Account:
    return Account(control_plane, eventually)


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_is_a_named_file(root: Path, blocks: Blocks, page: str) -> None:
    text = (root / "docs" / "migration" / f"{page}.md").read_text()
    assert text.count("```python\n") == len(blocks[page]) > 0
    for name, block in blocks[page].items():
        compile(block, name, "exec")


@pytest.mark.parametrize(
    ("page", "name"), [("index", "running.py"), ("from-sdk-v2", "after.py"), ("from-terraform", "after.py")]
)
def test_app_synthesizes(template: Callable[[str, str], Template], page: str, name: str) -> None:
    types = {resource["Type"] for resource in template(page, name)["Resources"].values()}
    assert ("AWS::SageMaker::Endpoint" in types) is (name == "after.py")


@pytest.mark.parametrize("page", IN_CDK)
def test_stack_takes_the_place_of_the_one_before_it(
    account: Account, template: Callable[[str, str], Template], page: str
) -> None:
    name = page.replace("from", "churn")
    account.deploy(page, template(page, "before.py"))
    before, hosted_before = account.endpoint(name), account.hosted(name)
    account.deploy(page, template(page, "after.py"), update=True)
    after = account.endpoint(name)
    assert account.hosted(name) == hosted_before
    assert after["CreationTime"] == before["CreationTime"]
    assert after["EndpointConfigName"] != before["EndpointConfigName"]


def test_stack_takes_the_place_of_one_with_a_generated_name(
    account: Account, template: Callable[[str, str], Template], blocks: Blocks, tmp_path: Path
) -> None:
    before = template("from-l1", "before.py")
    del before["Resources"]["Endpoint"]["Properties"]["EndpointName"]
    account.deploy("generated", before)
    detail = account.formation.describe_stack_resource(StackName="generated", LogicalResourceId="Endpoint")
    name = detail["StackResourceDetail"]["PhysicalResourceId"].rpartition("/")[2]
    created = account.endpoint(name)["CreationTime"]

    (tmp_path / "after.py").write_text(blocks["from-l1"]["after.py"].replace("churn-l1", name))
    app = cdk.App()
    stack = runpy.run_path(str(tmp_path / "after.py"))["ScoringStack"](app, "Generated", env=cdk.Environment())
    stack.scoring.endpoint.add_property_deletion_override("EndpointName")
    after = without_bootstrap(app.synth().get_stack_by_name("Generated").template)
    account.deploy("generated", after, update=True)
    assert account.endpoint(name)["CreationTime"] == created


def test_stack_hosts_what_boto3_has_made(
    account: Account,
    control_plane: LocalEndpoint,
    template: Callable[[str, str], Template],
    blocks: Blocks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in control_plane.environment.items():
        monkeypatch.setenv(variable, value)
    exec(compile(blocks["from-boto3"]["before.py"], "before.py", "exec"), {})
    account.deploy("from-boto3", template("from-boto3", "after.py"))
    assert account.hosted("churn-scoring-2") == account.hosted("churn-scoring")


def test_what_the_page_calls_of_the_sdk_is_what_a_test_calls_of_it(root: Path, blocks: Blocks) -> None:
    page, client = (
        {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
        for text in (blocks["from-sdk-v2"]["before.py"], (root / "tests/integration/sdk_client.py").read_text())
    )
    assert page <= client
