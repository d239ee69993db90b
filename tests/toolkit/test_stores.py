"""``mme alias``, ``mme ls`` and ``mme prune`` against a really served S3."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from multi_model_endpoint.aliases import Alias, Aliases, AliasMovedError
from multi_model_endpoint.command import mme
from multi_model_endpoint.store_url import StoreUrl
from multi_model_endpoint.stores.listing import Model
from multi_model_endpoint.stores.pruning import delete, kept

IMAGE = "174872318107.dkr.ecr.us-west-2.amazonaws.com/knn:1"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def s3(control_plane: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in control_plane.environment.items():
        monkeypatch.setenv(name, value)
    return control_plane.client("s3")


@pytest.fixture
def bucket(s3: Any, unique: Callable[[str], str]) -> str:
    name = unique("stores")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def put(s3: Any, bucket: str) -> Callable[..., None]:
    def add(*targets: str) -> None:
        for target in targets:
            s3.put_object(Bucket=bucket, Key=f"m/{target}", Body=b"model")

    return add


@pytest.fixture
def run(bucket: str) -> Callable[..., Result]:
    """Run a command on the store; ``{}`` stands for its URL."""

    def command(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(mme, [each.format(f"s3://{bucket}/m/") for each in arguments])
        assert result.exit_code == status, result.output
        return result

    return command


def test_alias_is_set_moved_looked_at_rolled_back_and_deleted(
    put: Callable[..., None], run: Callable[..., Result]
) -> None:
    first, second = "churn-00000001.tar.gz", "churn-00000002.tar.gz"
    put(first, second)
    assert run("alias", "set", "{}", "churn@prod", first).stderr == f"churn@prod: (new) -> {first}\n"
    assert run("alias", "set", "{}", "churn@prod", first).stderr == f"churn@prod: unchanged {first}\n"
    assert run("alias", "set", "{}", "churn@prod", second).stderr == f"churn@prod: {first} -> {second}\n"
    assert run("alias", "show", "{}", "churn@prod").stdout == f"{second}\n"
    assert run("alias", "rollback", "{}", "churn@prod").stderr == f"churn@prod: {second} -> {first}\n"
    assert run("alias", "rollback", "{}", "churn@prod").stderr == f"churn@prod: {first} -> {second}\n"
    assert run("alias", "delete", "{}", "churn@prod").stderr == f"churn@prod: {second} -> (deleted)\n"
    missing = run("alias", "show", "{}", "churn@prod", status=1)
    assert "there is no alias 'churn@prod' in s3://" in missing.stderr
    assert run("alias", "rollback", "{}", "churn@prod").stderr == f"churn@prod: (new) -> {second}\n"
    found = json.loads(run("alias", "history", "{}", "churn@prod", "--json").stdout)
    assert [each["target_model"] for each in found] == [second, None, second, first, second, first]
    assert len(run("alias", "history", "{}", "churn@prod", "--most", "2").stdout.splitlines()) == 3


def test_alias_names_no_model_that_is_not_there(run: Callable[..., Result]) -> None:
    result = run("alias", "set", "{}", "churn", "churn-00000001.tar.gz", status=1)
    assert "there is no model 'churn-00000001.tar.gz' in s3://" in result.stderr
    run("alias", "show", "{}", "churn", status=1)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(["set", "{}", "churn", "other"], "target_model must be an archive", id="no target model"),
        pytest.param(["set", "{}", "a b", "a.tar.gz"], "alias must be at most 256 characters", id="no alias"),
        pytest.param(["show", "{}", "a.tar.gz"], "alias must not end in '.tar.gz'", id="target model"),
        pytest.param(["list", "s3://bucket"], "must be s3://bucket/prefix/", id="no prefix"),
    ],
)
def test_alias_refuses_what_is_none_before_it_calls_anybody(
    run: Callable[..., Result], arguments: Sequence[str], problem: str
) -> None:
    assert problem in run("alias", *arguments, status=2).stderr


def test_alias_can_not_go_back_where_the_bucket_keeps_no_versions(s3: Any, unique: Callable[[str], str]) -> None:
    name = unique("plain")
    s3.create_bucket(Bucket=name)
    for target in ("churn-00000001.tar.gz", "churn-00000002.tar.gz"):
        s3.put_object(Bucket=name, Key=f"m/{target}", Body=b"model")
        CliRunner().invoke(mme, ["alias", "set", f"s3://{name}/m/", "churn", target])
    result = CliRunner().invoke(mme, ["alias", "rollback", f"s3://{name}/m/", "churn"])
    assert result.exit_code == 1
    assert "the bucket has kept no version that says so: set it to the model" in result.stderr


def test_who_moves_an_alias_from_what_it_is_no_more_is_told(s3: Any, bucket: str) -> None:
    aliases = Aliases(s3, StoreUrl(bucket, "m/"))
    read = aliases.set("churn", "churn-00000001.tar.gz", replaces=None)
    aliases.move("churn", "churn-00000002.tar.gz")
    with pytest.raises(AliasMovedError, match=r"alias 'churn' in s3://.* was changed by somebody else"):
        aliases.set("churn", "churn-00000003.tar.gz", replaces=read)
    with pytest.raises(AliasMovedError):
        aliases.set("churn", "churn-00000003.tar.gz", replaces=None)
    assert aliases.get("churn").target_model == "churn-00000002.tar.gz"


def test_of_many_who_move_an_alias_at_once_one_does(s3: Any, bucket: str) -> None:
    aliases = Aliases(s3, StoreUrl(bucket, "m/"))
    read = aliases.set("churn", "churn-00000001.tar.gz", replaces=None)
    barrier, moved = threading.Barrier(8), []

    def move(number: int) -> None:
        barrier.wait()
        with suppress(AliasMovedError):
            moved.append(aliases.set("churn", f"churn-0000000{number}.tar.gz", replaces=read).target_model)

    threads = [threading.Thread(target=move, args=(number,)) for number in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert moved == [aliases.get("churn").target_model]


def test_ls_shows_models_with_sizes_and_aliases(
    s3: Any, bucket: str, put: Callable[..., None], run: Callable[..., Result]
) -> None:
    put("tenant_a/churn-00000001.tar.gz", "churn-00000002.tar.gz", "notes.txt")
    for alias in ("churn@prod", "churn"):
        run("alias", "set", "{}", alias, "churn-00000002.tar.gz")
    s3.put_object(Bucket=bucket, Key="m/.aliases/lost", Body=b"gone-00000003.tar.gz\n")
    s3.put_object(Bucket=bucket, Key="m/.aliases/odd", Body=b"nonsense")
    result = run("ls", "{}")
    header, *lines = (line.split() for line in result.stdout.splitlines())
    assert header == ["TARGET", "MODEL", "SIZE", "UPLOADED", "ALIASES"]
    assert [(line[0], line[1:3], line[5:]) for line in lines] == [
        ("churn-00000002.tar.gz", ["5", "bytes"], ["churn", "churn@prod"]),
        ("tenant_a/churn-00000001.tar.gz", ["5", "bytes"], []),
    ]
    total, lost, odd = result.stderr.splitlines()
    assert total == "2 models, 10 bytes"
    assert lost == "warning: alias 'lost' names gone-00000003.tar.gz, which is not there"
    assert "alias 'odd' in s3://" in odd
    found = json.loads(run("ls", "{}", "--json").stdout)
    assert found[0] | {"uploaded": ""} == {
        "name": "churn",
        "target_model": "churn-00000002.tar.gz",
        "size": 5,
        "uploaded": "",
        "aliases": ["churn", "churn@prod"],
    }


def test_prune_deletes_nothing_without_yes_and_then_what_it_said(
    s3: Any, bucket: str, put: Callable[..., None], run: Callable[..., Result]
) -> None:
    put(*(f"churn-0000000{number}.tar.gz" for number in range(5)), "by-hand.tar.gz")
    run("alias", "set", "{}", "churn@old", "churn-00000001.tar.gz")
    options = ["--keep", "2", "--older-than", "0h"]
    dry = run("prune", "{}", *options)
    going = [line.split()[0] for line in dry.stdout.splitlines()[1:]]
    assert len(going) == 2
    assert "churn-00000001.tar.gz" not in going
    assert "would delete 2 of 6 models, 10 bytes\n" in dry.stderr
    assert "kept 1: named by an alias\n" in dry.stderr
    assert "kept 1: not named by content\n" in dry.stderr
    assert "run it again with --yes" in dry.stderr
    assert "can't be had back" not in dry.stderr
    assert len(run("ls", "{}").stdout.splitlines()) == 7
    done = json.loads(run("prune", "{}", *options, "--yes", "--json").stdout)
    assert [model["target_model"] for model in done["models"]] == going
    assert len(run("ls", "{}").stdout.splitlines()) == 5
    assert len(s3.list_object_versions(Bucket=bucket)["DeleteMarkers"]) == 2


def test_prune_leaves_what_is_young(put: Callable[..., None], run: Callable[..., Result]) -> None:
    put("churn-00000001.tar.gz", "churn-00000002.tar.gz")
    assert "would delete 0 of 2 models" in run("prune", "{}", "--keep", "0", "--older-than", "1d").stderr


def test_prune_leaves_what_a_stack_names(
    control_plane: Any, put: Callable[..., None], run: Callable[..., Result], unique: Callable[[str], str]
) -> None:
    put("churn-0000000a.tar.gz", "churn-0000000b.tar.gz")
    cloudformation = control_plane.client("cloudformation")
    parameter = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "m/churn-0000000a.tar.gz"}}
    stack = unique("Stack")
    cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps({"Resources": {"Of": parameter}}))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 0.1})
    for named in ([], ["--stack", stack]):
        found = json.loads(run("prune", "{}", "--keep", "0", "--older-than", "0h", "--json", *named).stdout)
        assert [model["target_model"] for model in found["models"]] == ["churn-0000000b.tar.gz"]
        assert found["kept"] == {"churn-0000000a.tar.gz": "in a stack"}
    assert "does not exist" in run("prune", "{}", "--stack", "nowhere", status=1).stderr


def test_prune_deletes_nothing_while_an_alias_names_nobody_knows_what(
    s3: Any, bucket: str, put: Callable[..., None], run: Callable[..., Result]
) -> None:
    put("churn-00000001.tar.gz")
    s3.put_object(Bucket=bucket, Key="m/.aliases/churn", Body=b"\x00")
    result = run("prune", "{}", "--keep", "0", "--older-than", "0h", "--yes", status=1)
    assert "nothing was deleted" in result.stderr
    assert len(run("ls", "{}").stdout.splitlines()) == 2


@pytest.mark.parametrize("age", ["30", "d", "1.5d", "-1d", "1y"])
def test_prune_refuses_what_is_no_age(run: Callable[..., Result], age: str) -> None:
    assert "must be a number of hours, days or weeks" in run("prune", "{}", "--older-than", age, status=2).stderr


def test_store_of_an_endpoint_is_found_by_the_endpoints_name(
    control_plane: Any, s3: Any, put: Callable[..., None], bucket: str
) -> None:
    put("churn-00000001.tar.gz")
    sagemaker = control_plane.client("sagemaker")

    def deploy(name: str, *urls: str | None) -> str:
        variants = []
        for number, url in enumerate(urls):
            container = {"Image": IMAGE} if url is None else {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": url}
            model = f"{bucket}{name}{number}"
            role = "arn:aws:iam::000000000000:role/Models"
            sagemaker.create_model(ModelName=model, ExecutionRoleArn=role, PrimaryContainer=container)
            variant = {"VariantName": f"V{number}", "ModelName": model}
            variants.append(variant | {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1})
        sagemaker.create_endpoint_config(EndpointConfigName=f"{bucket}{name}", ProductionVariants=variants)
        sagemaker.create_endpoint(EndpointName=f"{bucket}{name}", EndpointConfigName=f"{bucket}{name}")
        return f"{bucket}{name}"

    own, other = f"s3://{bucket}/m/", f"s3://{bucket}/other/"
    runner = CliRunner()
    assert "churn-00000001.tar.gz" in runner.invoke(mme, ["ls", deploy("one", own, own)]).stdout
    several = runner.invoke(mme, ["ls", deploy("two", own, other)])
    assert several.exit_code == 2
    assert f"has several stores: name one of {own}, {other}" in several.stderr
    assert "has no multi-model container" in runner.invoke(mme, ["ls", deploy("none", None)]).stderr
    assert "Could not find endpoint" in runner.invoke(mme, ["ls", "nowhere"]).stderr


def test_the_newest_of_each_name_stay() -> None:
    def model(name: str, number: int) -> Model:
        return Model(f"{name}-0000000{number}.tar.gz", 1, NOW - timedelta(days=100 - number))

    models = [model(name, number) for name in ("a", "t/a") for number in range(4)]
    reasons = kept(models, keep=2, before=NOW, aliases={}, endings=set())
    assert set(reasons) == {f"{name}-0000000{number}.tar.gz" for name in ("a", "t/a") for number in (2, 3)}
    assert set(reasons.values()) == {"among the newest 2"}


def test_what_an_alias_names_stays_however_old_it_is() -> None:
    old = Model("a-00000001.tar.gz", 1, NOW - timedelta(days=1000))
    aliases = {"a@prod": Alias("a@prod", old.target_model, "", None)}
    assert kept([old], keep=0, before=NOW, aliases=aliases, endings=set()) == {old.target_model: "alias a@prod"}


def test_ten_thousand_models_take_ten_requests_to_delete_and_failures_are_told() -> None:
    asked: list[int] = []

    def delete_objects(*, Bucket: str, Delete: Any) -> Any:
        asked.append(len(Delete["Objects"]))
        first = {"Key": Delete["Objects"][0]["Key"], "Message": "Access Denied"}
        return {"Errors": [first] if len(asked) == 2 else []}

    client: Any = SimpleNamespace(delete_objects=delete_objects)
    failures = delete(client, StoreUrl("bucket", "m/"), [f"{number}.tar.gz" for number in range(10_000)])
    assert asked == [1000] * 10
    assert failures == {"1000.tar.gz": "Access Denied"}


def test_push_sets_aliases_when_the_model_is_there(
    s3: Any, model: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = run("push", str(model), "{}", "--name", "churn", "--alias", "churn@prod", "--alias", "churn", "--dry-run")
    run("alias", "show", "{}", "churn@prod", status=1)
    target = pushed.stdout.strip()
    again = run("push", str(model), "{}", "--name", "churn", "--alias", "churn@prod", "--alias", "churn")
    assert f"alias churn@prod: (new) -> {target}" in again.stderr
    for alias in ("churn@prod", "churn"):
        assert run("alias", "show", "{}", alias).stdout.strip() == target


def test_push_sets_an_alias_for_one_model_alone(model: Path, run: Callable[..., Result]) -> None:
    assert "--alias is for a single model" in run("push", str(model), str(model), "{}", "--alias", "a", status=2).stderr
    assert "alias must be at most" in run("push", str(model), "{}", "--alias", "a b", status=2).stderr


def test_every_command_says_what_it_does() -> None:
    for group in (mme, mme.commands["alias"]):
        assert isinstance(group, click.Group)
        assert all(command.help for command in group.commands.values())
