"""What the models are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from multi_model_endpoint.load import Payload, payloads_in

CHURN = "tenant_a/churn-1a2b3c4d.tar.gz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tenant_a").mkdir()
    (tmp_path / "tenant_a" / "churn.csv").write_bytes(b"1,2")
    (tmp_path / "fraud").write_bytes(b"\x00")
    return tmp_path


@pytest.mark.parametrize("model", [CHURN, "tenant_a/churn.tar.gz", "tenant_a/churn@prod", "tenant_a/churn"])
def test_is_found_by_the_name_of_a_model_or_an_alias(folder: Path, model: str) -> None:
    assert payloads_in(folder, [model]) == {model: Payload(b"1,2", "text/csv")}


def test_of_one_version_goes_before_that_of_the_name(folder: Path) -> None:
    (folder / f"{CHURN}.json").write_bytes(b"[]")
    assert payloads_in(folder, [CHURN]) == {CHURN: Payload(b"[]", "application/json")}


def test_has_the_type_that_is_given(folder: Path) -> None:
    assert payloads_in(folder, [CHURN], content_type="text/x")[CHURN].content_type == "text/x"


def test_has_no_type_where_the_name_says_none(folder: Path) -> None:
    assert payloads_in(folder, ["fraud@prod"])["fraud@prod"] == Payload(b"\x00", None)


def test_is_the_default_where_a_model_has_none(folder: Path) -> None:
    found = payloads_in(folder, [CHURN, "other/model.tar.gz"], default=folder / "fraud")
    assert [payload.body for payload in found.values()] == [b"1,2", b"\x00"]


def test_may_be_one_for_all(folder: Path) -> None:
    assert payloads_in(None, ["churn"], default=folder / "fraud")["churn"].body == b"\x00"


def test_is_refused_where_there_is_none(folder: Path) -> None:
    message = r"'b-1a2b3c4d.tar.gz' has no payload: name a file for all, or a folder with b.csv"
    with pytest.raises(ValueError, match=message):
        payloads_in(folder, ["b-1a2b3c4d.tar.gz"])


def test_is_refused_where_there_are_several(folder: Path) -> None:
    (folder / "fraud.csv").touch()
    with pytest.raises(ValueError, match=r"several payloads for 'fraud@prod': fraud, fraud\.csv"):
        payloads_in(folder, ["fraud@prod"])
