"""Aliases in a bucket."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mme_local.testing import LocalEndpoint
from multi_model_endpoint.aliases import Aliases, AliasMovedError, InvalidAliasError, UnknownAliasError
from multi_model_endpoint.store_url import StoreUrl

OLD, NEW = "churn-11111111.tar.gz", "tenant_a/churn-22222222.tar.gz"


@pytest.fixture
def s3(control_plane: LocalEndpoint) -> Any:
    return control_plane.client("s3")


@pytest.fixture
def bucket(s3: Any, unique: Callable[[str], str]) -> str:
    name = unique("aliases")
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def aliases(s3: Any, bucket: str) -> Aliases:
    return Aliases(s3, StoreUrl(bucket, "models/"))


@pytest.mark.parametrize("name", ["churn", "churn@prod", "tenant_a/churn@champion", "_x/y.z-1@2026-11-25"])
def test_an_alias_names_what_it_was_set_to(aliases: Aliases, name: str) -> None:
    was_set = aliases.set(name, OLD, replaces=None)
    assert aliases.get(name) == was_set
    assert (was_set.name, was_set.target_model) == (name, OLD)


def test_an_alias_is_a_small_object_below_the_prefix(aliases: Aliases, s3: Any, bucket: str) -> None:
    aliases.set("tenant_a/churn@prod", OLD, replaces=None)
    found = s3.get_object(Bucket=bucket, Key="models/.aliases/tenant_a/churn@prod")
    assert found["Body"].read().decode() == OLD
    assert found["ContentType"] == "text/plain; charset=utf-8"


def test_an_alias_moves_and_its_history_is_in_the_buckets_versions(aliases: Aliases, s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = aliases.set("churn", OLD, replaces=None)
    second = aliases.set("churn", NEW, replaces=first)
    assert aliases.get("churn") == second
    versions = s3.list_object_versions(Bucket=bucket, Prefix=aliases.key("churn"))["Versions"]
    assert [version["VersionId"] for version in versions] == [second.version_id, first.version_id]


def test_a_bucket_without_versions_gives_none(aliases: Aliases) -> None:
    assert aliases.set("churn", OLD, replaces=None).version_id is None


def test_of_two_who_move_an_alias_at_once_the_second_is_told(aliases: Aliases, bucket: str) -> None:
    read = aliases.set("churn", OLD, replaces=None)
    aliases.set("churn", NEW, replaces=read)
    message = (
        f"alias 'churn' in s3://{bucket}/models/ was changed by somebody else meanwhile: look at it, and try again"
    )
    with pytest.raises(AliasMovedError, match=message):
        aliases.set("churn", "third.tar.gz", replaces=read)
    assert aliases.get("churn").target_model == NEW


def test_of_ten_who_set_a_new_alias_at_once_one_does(aliases: Aliases) -> None:
    def set_to(number: int) -> str | None:
        try:
            return aliases.set("churn", f"{number}.tar.gz", replaces=None).target_model
        except AliasMovedError:
            return None

    with ThreadPoolExecutor(10) as pool:
        (winner,) = [target for target in pool.map(set_to, range(10)) if target is not None]
    assert aliases.get("churn").target_model == winner


def test_an_alias_that_was_deleted_meanwhile_is_not_set_again(aliases: Aliases, s3: Any, bucket: str) -> None:
    read = aliases.set("churn", OLD, replaces=None)
    s3.delete_object(Bucket=bucket, Key=aliases.key("churn"))
    with pytest.raises(AliasMovedError):
        aliases.set("churn", NEW, replaces=read)
    with pytest.raises(UnknownAliasError, match="there is no alias 'churn'"):
        aliases.get("churn")


def test_an_alias_that_somebody_wrote_by_hand_is_read(aliases: Aliases, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="models/.aliases/churn", Body=f" {NEW}\r\n".encode())
    assert aliases.get("churn").target_model == NEW


@pytest.mark.parametrize("content", [b"", b"churn@prod", b"a.tar.gz\nb.tar.gz", b"\xff\xfe", b'{"model": "x"}'])
def test_anything_else_in_its_place_is_refused(aliases: Aliases, s3: Any, bucket: str, content: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="models/.aliases/churn", Body=content)
    with pytest.raises(InvalidAliasError, match=r"alias 'churn' in .* is not valid: target_model must be an archive"):
        aliases.get("churn")


def test_what_the_documentation_shows_works(
    aliases: Aliases, bucket: str, root: Path, control_plane: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in control_plane.environment.items():
        monkeypatch.setenv(name, value)
    blocks = re.findall(r"```python\n(.*?)```", (root / "docs" / "client.md").read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "Aliases(" in block]
    exec(code.replace("my-bucket", bucket), {})
    assert aliases.get("churn@prod").target_model == "churn-5e6f7a8b.tar.gz"


def test_what_else_s3_says_is_raised_as_it_is(s3: Any) -> None:
    nowhere = Aliases(s3, StoreUrl("no-such-bucket", "models/"))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        nowhere.get("churn")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        nowhere.set("churn", OLD, replaces=None)
