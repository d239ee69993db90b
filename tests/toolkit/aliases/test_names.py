"""What an alias may be called."""

from __future__ import annotations

import pytest

from multi_model_endpoint.aliases import check_alias, check_target_model, is_target_model

LONGEST = "x" * 256


@pytest.mark.parametrize("name", ["c", "churn", "churn@prod", "a/b/c@d", "tenant_a/x.y-z@2026", "model.tar", LONGEST])
def test_takes(name: str) -> None:
    check_alias(name)
    assert not is_target_model(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "@prod",
        "churn@",
        "a@b@c",
        "a@b/c",
        "/churn",
        "churn/",
        "a//b",
        "..",
        "a/../b",
        ".hidden",
        "-x",
        "a b",
        "tenant*",
        "a?",
        "${aws}",
        "é",
        "churn\n",
        f"{LONGEST}x",
    ],
)
def test_refuses(name: str) -> None:
    with pytest.raises(ValueError, match=r"^alias must be at most 256 characters such as 'churn', .* got "):
        check_alias(name)


def test_an_alias_is_told_from_a_target_model_by_its_end() -> None:
    assert is_target_model("tenant_a/churn-1a2b3c4d.tar.gz")
    with pytest.raises(
        ValueError, match=r"alias must not end in '\.tar\.gz', as target models do, got 'churn\.tar\.gz'"
    ):
        check_alias("churn.tar.gz")


@pytest.mark.parametrize("name", ["churn-1a2b3c4d.tar.gz", "a/b c.tar.gz", "ü.tar.gz"])
def test_a_target_model_is_any_archive_that_the_api_takes(name: str) -> None:
    check_target_model(name)


@pytest.mark.parametrize(
    "name", ["", "churn", ".tar.gz", " a.tar.gz", "a\n.tar.gz", "a.tar.gz\n", f"{'x' * 1018}.tar.gz"]
)
def test_anything_else_is_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"target_model must be an archive below the prefix, such as '.*', got "):
        check_target_model(name)
