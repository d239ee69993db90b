"""What every change of a deployed stack does to its resources and to its callers, as docs/updates.md has it.

A stack is deployed by the real CDK CLI to a really served endpoint, and changed one setting at a time while callers
invoke it. ``UPDATE_DOCS=1`` writes the table anew.
"""

from __future__ import annotations

import functools
import io
import json
import os
import queue
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from aws_cdk import aws_logs as logs
from botocore.exceptions import BotoCoreError, ClientError

from .conftest import Account
from .updated import ENDPOINT_NAME, LOGICAL_ID, STACK, Settings, synthesize

DOCUMENT = Path("docs") / "updates.md"
MARKERS = ("<!-- the table: written by tests/integration/test_updates.py -->\n", "<!-- the end of the table -->")
HEADER = ("change", "Model", "EndpointConfig", "Endpoint", "store", "other resources", "requests", "failed")
CORE = ("AWS::SageMaker::Model", "AWS::SageMaker::EndpointConfig", "AWS::SageMaker::Endpoint", "AWS::S3::Bucket")
PREPROCESSOR = ("preprocessors", "through.tar.gz")
PREFIXES = ("models/", "other-models/")
COLD_MODELS = [f"cold-{number}.tar.gz" for number in range(8)]
THREADS = 2
REQUESTS_PER_SECOND = 20
DEPLOYMENT_SECONDS = 120
MANY = 4

REPLACED, UPDATED, UNCHANGED = "replaced", "updated", "-"
# how a change set announces what then happens; conditional, when it depends on what becomes of another resource
ANNOUNCED = {
    "added": [("Add", "")],
    "removed": [("Remove", "")],
    REPLACED: [("Modify", "True")],
    UPDATED: [("Modify", "False"), ("Modify", "Conditional")],
}
NEW_MODEL = (REPLACED, REPLACED, UPDATED)
NEW_CONFIG = (UNCHANGED, REPLACED, UPDATED)
SAME_CONFIG = (UNCHANGED, UNCHANGED, UPDATED)
TAGGED = (UPDATED, UPDATED, UPDATED)
NOTHING = (UNCHANGED, UNCHANGED, UNCHANGED)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of the settings, and what it must do to Model, EndpointConfig and Endpoint.

    Attributes:
        others: How many other resources it adds, changes or removes.
        by_cli: Whether the CDK CLI deploys it, and not a change set of the same template.
        refusal: What SageMaker says when it refuses.
        scaled_to: The instances that autoscaling has come to before the change.
        cold_calls: Whether the first calls of some models come during the change.
    """

    name: str
    settings: Mapping[str, Any]
    core: tuple[str, str, str]
    others: int = 0
    by_cli: bool = False
    refusal: str | None = None
    scaled_to: int | None = None
    cold_calls: bool = False


SCALED = "must be deregistered as a scalable target"
GUARDED = "needs the same variant names"
EXISTING = "Cannot create already existing endpoint"
LOGGED = "already exists"
LIVE_COUNT = 3
CHANGES = (
    Change(name="cache setting", settings={"model_cache": True}, core=NEW_MODEL),
    Change(name="image", settings={"version": "3.2-0"}, core=NEW_MODEL, by_cli=True),
    Change(name="environment", settings={"environment": {"LEVEL": "info"}}, core=NEW_MODEL),
    Change(name="instance type", settings={"instance_type": "ml.m5.xlarge"}, core=NEW_CONFIG),
    Change(name="weight", settings={"weight": 2}, core=NEW_CONFIG),
    Change(name="tags", settings={"tags": {"team": "pricing"}}, core=TAGGED, others=2),
    Change(name="variant added", settings={"second_variant": True}, core=NEW_CONFIG),
    Change(name="variant removed", settings={"second_variant": False}, core=NEW_CONFIG),
    Change(
        name="preprocessor added", settings={"preprocessor": f"s3://{'/'.join(PREPROCESSOR)}"}, core=NEW_MODEL, others=2
    ),
    Change(name="preprocessor removed", settings={"preprocessor": None}, core=NEW_MODEL, others=2),
    Change(name="prefix", settings={"prefix": PREFIXES[1]}, core=NEW_MODEL, others=4, cold_calls=True),
    Change(
        name="model added",
        settings={"models": ("house-price", "customer-churn")},
        core=NOTHING,
        others=1,
        by_cli=True,
    ),
    Change(name="model removed", settings={"models": ("house-price",)}, core=NOTHING, others=1),
    Change(name="instance count", settings={"instance_count": 2}, core=NEW_CONFIG),
    Change(name="scaling added", settings={"max_capacity": 4}, core=SAME_CONFIG, others=2),
    Change(name="scaling's bounds", settings={"max_capacity": 6}, core=NOTHING, others=1, scaled_to=LIVE_COUNT),
    Change(
        name="instance type of an autoscaled variant",
        settings={"instance_type": "ml.m5.2xlarge"},
        core=NOTHING,
        by_cli=True,
        refusal=SCALED,
    ),
    Change(
        name="autoscaled variant removed (renamed)",
        settings={"variant_name": "Champion"},
        core=NOTHING,
        refusal=SCALED,
    ),
    Change(
        name="in two deployments: scaling removed, counts retained",
        settings={"max_capacity": None, "retained": True},
        core=NOTHING,
        others=2,
    ),
    Change(
        name="… then the instance type, and scaling again",
        settings={"instance_type": "ml.m5.2xlarge", "max_capacity": 6, "retained": None},
        core=NEW_CONFIG,
        others=2,
    ),
    Change(name="deployment policy added", settings={"deployment": True}, core=SAME_CONFIG),
    Change(name="rollback alarm added", settings={"rollback_alarm": True}, core=SAME_CONFIG, others=2),
    Change(name="rollback alarm removed", settings={"rollback_alarm": False}, core=SAME_CONFIG, others=2),
    Change(
        name="variant added under a deployment policy", settings={"second_variant": True}, core=NOTHING, refusal=GUARDED
    ),
    Change(
        name="in two deployments: variant added, policy removed",
        settings={"second_variant": True, "deployment": False},
        core=NEW_CONFIG,
    ),
    Change(name="… then the policy again", settings={"deployment": True}, core=SAME_CONFIG),
    Change(name="monitoring added", settings={"monitored": True}, core=NOTHING, others=13),
    Change(name="monitoring removed", settings={"monitored": False}, core=NOTHING, others=13),
    Change(name="log retention", settings={"log_retention": logs.RetentionDays.ONE_MONTH}, core=NOTHING, others=1),
    Change(name="log retention removed: the group stays", settings={"log_retention": None}, core=NOTHING, others=1),
    Change(
        name="log retention added where the group is there",
        settings={"log_retention": logs.RetentionDays.ONE_MONTH},
        core=NOTHING,
        refusal=LOGGED,
    ),
    Change(name="scaling removed", settings={"max_capacity": None}, core=SAME_CONFIG, others=2),
    Change(
        name="construct renamed, endpoint_name kept",
        settings={"construct_id": "Scoring", "endpoint_name": ENDPOINT_NAME},
        core=NOTHING,
        refusal=EXISTING,
    ),
    Change(
        name="construct renamed, endpoint_name and logical id kept",
        settings={"construct_id": "Scoring", "endpoint_name": ENDPOINT_NAME, "logical_id": LOGICAL_ID},
        core=NEW_MODEL,
        others=6,
    ),
)
RETAINED = [
    "scaling's bounds",
    "instance type of an autoscaled variant",
    "in two deployments: scaling removed, counts retained",
    "… then the instance type, and scaling again",
    "deployment policy added",
    "monitoring removed",
]


class Traffic:
    """Callers at a bounded rate, until the end of the block."""

    def __init__(self, account: Account, outputs: Mapping[str, str], sample: Mapping[str, Any]) -> None:
        runtime = account.local.client("sagemaker-runtime", region=account.region, read_timeout=70)
        self._invoke = functools.partial(
            runtime.invoke_endpoint,
            EndpointName=outputs["EndpointName"],
            Body=sample["body"],
            ContentType=sample["content_type"],
            Accept=sample["accept"],
        )
        self._model = outputs["TargetModels"]
        self._cold: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._expected = pytest.approx(sample["prediction"])
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(THREADS)]
        self._lock = threading.Lock()
        self.sent = 0
        self.failures: list[str] = []

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def call(self, models: Sequence[str]) -> None:
        """Call these models once, too, which answer the same."""
        for model in models:
            self._cold.put(model)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._over.wait(max(0.0, began + THREADS / REQUESTS_PER_SECOND - time.monotonic())):
            began = time.monotonic()
            failure = self._failure()
            with self._lock:
                self.sent += 1
                if failure is not None:
                    self.failures.append(failure)

    def _failure(self) -> str | None:
        try:
            model = self._cold.get_nowait()
        except queue.Empty:
            model = self._model
        try:
            with self._invoke(TargetModel=model)["Body"] as body:
                answer = json.load(body)
        except (BotoCoreError, ClientError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return None if answer == self._expected else f"wrong answer: {answer}"


@dataclass(frozen=True)
class Resource:
    """A resource of the stack as its own service describes it.

    Attributes:
        traces: What is another after an update in place; only the core's are looked at.
    """

    path: str
    kind: str
    physical_id: str
    created: datetime | None = None
    traces: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a change did.

    Attributes:
        verdict: What the change set says: by logical id, the action and whether it replaces the resource.
        said: What the user is told of a failure.
    """

    change: Change
    before: Mapping[str, Resource]
    after: Mapping[str, Resource]
    verdict: Mapping[str, tuple[str, str]]
    stack_status: str
    instances: int
    sent: int
    failures: Sequence[str]
    said: str = ""

    def happened(self, logical_id: str) -> str:
        """What was measured on a resource; in place, and outside of the core, what the change set says."""
        before, after = self.before.get(logical_id), self.after.get(logical_id)
        if before is None or after is None:
            return "added" if before is None else "removed"
        if before.physical_id != after.physical_id:
            return REPLACED
        if before.kind in CORE:
            return UNCHANGED if before == after else UPDATED
        return UPDATED if self.change.refusal is None and logical_id in self.verdict else UNCHANGED

    def one(self, kind: str) -> tuple[Resource, Resource]:
        """The only resource of a type, before and after."""
        (before,) = (resource for resource in self.before.values() if resource.kind == kind)
        (after,) = (resource for resource in self.after.values() if resource.kind == kind)
        return before, after

    def core(self) -> tuple[str, ...]:
        """What happened to Model, EndpointConfig, Endpoint and bucket, whatever their logical ids."""
        pairs = [self.one(kind) for kind in CORE]
        return tuple(
            UNCHANGED if before == after else UPDATED if before.physical_id == after.physical_id else REPLACED
            for before, after in pairs
        )

    def others(self) -> dict[str, str]:
        """What happened to all else, by path."""
        resources = {**self.before, **self.after}
        happened = {r.path: self.happened(logical_id) for logical_id, r in resources.items() if r.kind not in CORE}
        return {path: what for path, what in sorted(happened.items()) if what != UNCHANGED}

    def cells(self) -> list[str]:
        """The row of the table."""
        name = f"**{self.change.name}**: refused, rolled back" if self.change.refusal else self.change.name
        told = _together(self.others())
        return [name, *self.core(), told or UNCHANGED, str(self.sent), str(len(self.failures))]


def _together(others: Mapping[str, str]) -> str:
    """One phrase for each resource, or for all that went the same way in one construct when they are many."""
    groups: dict[tuple[str, str], list[str]] = {}
    for path, what in others.items():
        groups.setdefault((path.rpartition("/")[0], what), []).append(path)
    phrases = []
    for (parent, what), paths in groups.items():
        if len(paths) >= MANY:
            phrases.append(f"all {len(paths)} of `{parent}` {what}")
        else:
            phrases += [f"`{path}` {what}" for path in paths]
    return ", ".join(phrases)


class Deployed:
    """The stack in its account, which changes."""

    def __init__(self, account: Account, work: Path, eventually: Callable[..., Any]) -> None:
        self.account = account
        self._eventually = eventually
        self._work = work
        self._stacks = account.client("cloudformation")
        self._sagemaker = account.client("sagemaker")
        self._paths: dict[str, str] = {}
        self._versions = 0
        self.settings = Settings()
        self._cli(self._template(self.settings).parent)

    def change(self, change: Change, traffic: Traffic) -> Row:
        """Make a change under traffic, and measure what it did."""
        settings = replace(self.settings, **change.settings)
        sent, failed = traffic.sent, len(traffic.failures)
        template = self._template(settings)
        if change.scaled_to is not None:
            self._scale(change.scaled_to)
        before = self.resources()
        events = len(self._reasons())
        name = f"Change{self._versions}"
        verdict = self._verdict(name, template)
        if change.cold_calls:
            traffic.call(COLD_MODELS)
        said = ""
        if not change.by_cli:
            self._stacks.execute_change_set(StackName=STACK, ChangeSetName=name)
        elif change.refusal is None:
            self._cli(template.parent)
        else:
            with pytest.raises(AssertionError) as error:
                self._cli(template.parent)
            said = str(error.value)
        status = self._eventually(self._settled, seconds=DEPLOYMENT_SECONDS)
        if not change.by_cli:
            said = "\n".join(self._reasons()[events:])
        if change.refusal is None:
            self.settings = settings
        # the endpoint goes on answering after the change: those that were under way, and another of each caller
        answered = traffic.sent
        self._eventually(lambda: traffic.sent >= answered + 2 * THREADS, seconds=DEPLOYMENT_SECONDS)
        return Row(
            change=change,
            before=before,
            after=self.resources(),
            verdict=verdict,
            stack_status=status,
            instances=self._described()["ProductionVariants"][0]["CurrentInstanceCount"],
            sent=traffic.sent - sent,
            failures=traffic.failures[failed:],
            said=said,
        )

    def resources(self) -> dict[str, Resource]:
        """The stack's resources as their own services describe them now, by logical id."""
        pages = self._stacks.get_paginator("list_stack_resources").paginate(StackName=STACK)
        return {
            summary["LogicalResourceId"]: self._resource(
                summary["LogicalResourceId"], summary["ResourceType"], summary["PhysicalResourceId"]
            )
            for page in pages
            for summary in page["StackResourceSummaries"]
        }

    def names(self) -> tuple[list[str], list[str], list[str]]:
        """All models, configurations and endpoints that SageMaker knows."""
        return (
            [model["ModelName"] for model in self._sagemaker.list_models()["Models"]],
            [config["EndpointConfigName"] for config in self._sagemaker.list_endpoint_configs()["EndpointConfigs"]],
            [endpoint["EndpointName"] for endpoint in self._sagemaker.list_endpoints()["Endpoints"]],
        )

    def _described(self) -> Any:
        (endpoint,) = self._sagemaker.list_endpoints()["Endpoints"]
        return self._sagemaker.describe_endpoint(EndpointName=endpoint["EndpointName"])

    def _scale(self, count: int) -> None:
        """Do what autoscaling does."""
        described = self._described()
        name, (variant,) = described["EndpointName"], described["ProductionVariants"]
        desired = [{"VariantName": variant["VariantName"], "DesiredInstanceCount": count}]
        self._sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=desired)
        self._eventually(lambda: self._described()["EndpointStatus"] == "InService", seconds=DEPLOYMENT_SECONDS)

    def _reasons(self) -> list[str]:
        """The reasons in the stack's events, the oldest first."""
        pages = self._stacks.get_paginator("describe_stack_events").paginate(StackName=STACK)
        reasons = [event.get("ResourceStatusReason", "") for page in pages for event in page["StackEvents"]]
        return reasons[::-1]

    def _resource(self, logical_id: str, kind: str, physical_id: str) -> Resource:
        resource = Resource(self._paths[logical_id], kind, physical_id)
        if kind == "AWS::S3::Bucket":
            buckets = self.account.client("s3").list_buckets()["Buckets"]
            (created,) = (bucket["CreationDate"] for bucket in buckets if bucket["Name"] == physical_id)
            return replace(resource, created=created)
        if kind not in CORE:
            return resource
        noun = kind.rpartition(":")[2]
        describe = {
            "Model": self._sagemaker.describe_model,
            "EndpointConfig": self._sagemaker.describe_endpoint_config,
            "Endpoint": self._sagemaker.describe_endpoint,
        }[noun]
        found = describe(**{f"{noun}Name": physical_id.rpartition("/")[2]})
        tags = {tag["Key"]: tag["Value"] for tag in self._sagemaker.list_tags(ResourceArn=physical_id)["Tags"]}
        traces = (found.get("LastModifiedTime"), found.get("EndpointConfigName"), tags)
        return replace(resource, created=found["CreationTime"], traces=traces)

    def _template(self, settings: Settings) -> Path:
        self._versions += 1
        template = synthesize(settings, self._work / str(self._versions))
        for logical_id, resource in json.loads(template.read_text())["Resources"].items():
            path = resource["Metadata"]["aws:cdk:path"].removeprefix(f"{STACK}/")
            self._paths[logical_id] = path.removesuffix("/Default").removesuffix("/Resource")
        return template

    def _cli(self, assembly: Path) -> None:
        self.account.deploy("--app", str(assembly), "--no-notices", cwd=self._work)

    def _verdict(self, name: str, template: Path) -> dict[str, tuple[str, str]]:
        self._stacks.create_change_set(
            StackName=STACK,
            ChangeSetName=name,
            TemplateBody=template.read_text(),
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )

        def described() -> Any:
            answer = self._stacks.describe_change_set(StackName=STACK, ChangeSetName=name)
            return None if answer["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS") else answer

        answer = self._eventually(described)
        assert answer["Status"] == "CREATE_COMPLETE", answer.get("StatusReason")
        changes = [change["ResourceChange"] for change in answer["Changes"]]
        return {change["LogicalResourceId"]: (change["Action"], change.get("Replacement", "")) for change in changes}

    def _settled(self) -> str | None:
        status: str = self._stacks.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
        return None if status.endswith("IN_PROGRESS") else status


def passing_through() -> bytes:
    """A preprocessor's artifact that hands on what it is given."""
    program = b"""
def model_fn(model_dir):
    return None


def transform_fn(model, data, content_type, accept):
    return data, content_type
"""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(program)
        tar.addfile(member, io.BytesIO(program))
    return archive.getvalue()


@pytest.fixture(scope="module")
def account(start_local: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Account]:
    local = start_local(tmp_path_factory.mktemp("local") / "log.txt", "--enforce-iam", cwd=root)
    account = Account(local, "us-east-1", tmp_path_factory.mktemp("cdk.out"))
    try:
        account.bootstrap()
        bucket, key = PREPROCESSOR
        account.client("s3").create_bucket(Bucket=bucket)
        account.client("s3").put_object(Bucket=bucket, Key=key, Body=passing_through())
        yield account
    finally:
        local.stop()


@pytest.fixture(scope="module")
def deployed(account: Account, tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., Any]) -> Deployed:
    return Deployed(account, tmp_path_factory.mktemp("assemblies"), eventually)


@pytest.fixture(scope="module")
def rows(deployed: Deployed, root: Path) -> dict[str, Row]:
    samples = json.loads((root / "stacks" / "models" / "samples.json").read_text(encoding="utf-8"))
    (sample,) = (sample for sample in samples if sample["model"] == "house-price")
    outputs = deployed.account.outputs(STACK)
    s3 = deployed.account.client("s3")
    copies = [
        f"{PREFIXES[1]}{outputs['TargetModels']}",
        *(prefix + model for prefix in PREFIXES for model in COLD_MODELS),
    ]
    for key in copies:
        source = {"Bucket": outputs["Bucket"], "Key": f"{PREFIXES[0]}{outputs['TargetModels']}"}
        s3.copy_object(Bucket=outputs["Bucket"], Key=key, CopySource=source)
    with Traffic(deployed.account, outputs, sample) as traffic:
        return {change.name: deployed.change(change, traffic) for change in CHANGES}


def each(*, refused: bool | None = None) -> pytest.MarkDecorator:
    """Run a test for each of the changes."""
    names = [change.name for change in CHANGES if refused is None or (change.refusal is not None) == refused]
    return pytest.mark.parametrize("name", names)


@each()
def test_no_request_fails(rows: dict[str, Row], name: str) -> None:
    assert rows[name].sent > 0
    assert rows[name].failures == []


@each()
def test_model_and_configuration_are_replaced_exactly_when_they_must_be(rows: dict[str, Row], name: str) -> None:
    assert rows[name].core()[:3] == rows[name].change.core


@each()
@pytest.mark.parametrize("kind", ["AWS::SageMaker::Endpoint", "AWS::S3::Bucket"])
def test_neither_the_endpoint_nor_its_store_is_ever_replaced(rows: dict[str, Row], name: str, kind: str) -> None:
    before, after = rows[name].one(kind)
    assert (after.physical_id, after.created) == (before.physical_id, before.created)


@each()
def test_nothing_else_changes(rows: dict[str, Row], name: str) -> None:
    assert len(rows[name].others()) == rows[name].change.others


@each(refused=False)
def test_what_happens_is_what_the_change_set_said(rows: dict[str, Row], name: str) -> None:
    row = rows[name]
    happened = {logical_id: row.happened(logical_id) for logical_id in {**row.before, **row.after}}
    changed = {logical_id: what for logical_id, what in happened.items() if what != UNCHANGED}
    assert changed.keys() == row.verdict.keys()
    for logical_id, what in changed.items():
        assert row.verdict[logical_id] in ANNOUNCED[what]
    assert row.stack_status == "UPDATE_COMPLETE"


@each(refused=True)
def test_what_sagemaker_refuses_is_rolled_back(rows: dict[str, Row], name: str) -> None:
    row = rows[name]
    assert row.change.refusal is not None
    assert row.change.refusal in row.said
    assert row.stack_status == "UPDATE_ROLLBACK_COMPLETE"
    assert row.after == row.before


@pytest.mark.parametrize("name", RETAINED)
def test_an_autoscaled_variant_keeps_its_live_instance_count(rows: dict[str, Row], name: str) -> None:
    assert rows[name].instances == LIVE_COUNT


def test_without_scaling_the_count_is_the_initial_one_again(rows: dict[str, Row]) -> None:
    assert rows["scaling removed"].instances == 2


def test_nothing_is_left_behind(rows: dict[str, Row], deployed: Deployed) -> None:
    assert [len(names) for names in deployed.names()] == [1, 1, 1]


def test_the_table_is_the_documents(rows: dict[str, Row], root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = [list(HEADER), ["---"] * len(HEADER), *(row.cells() for row in rows.values())]
    lines = [f"| {' | '.join(cells)} |" for cells in table]
    with capsys.disabled():
        print("", *lines, sep="\n")
    document = (root / DOCUMENT).read_text(encoding="utf-8")
    before, _, rest = document.partition(MARKERS[0])
    written, _, after = rest.partition(MARKERS[1])
    if os.environ.get("UPDATE_DOCS"):
        text = "\n".join(lines)
        (root / DOCUMENT).write_text(f"{before}{MARKERS[0]}{text}\n{MARKERS[1]}{after}", encoding="utf-8")
        return
    assert [without_counts(line) for line in written.splitlines()] == [without_counts(line) for line in lines], (
        "docs/updates.md has another table: write it with UPDATE_DOCS=1 pytest tests/integration/test_updates.py"
    )


def without_counts(line: str) -> list[str]:
    """The cells of a row but the number of requests, which is another each time."""
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    return [*cells[: HEADER.index("requests")], *cells[HEADER.index("failed") :]]
