"""``make bench`` can run, and what it says is what it has measured. How fast anything is, is not tested."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.report import Section, page, table
from benchmarks.sections import SECTIONS


@pytest.mark.parametrize("section", SECTIONS, ids=[section.name for section in SECTIONS])
def test_each_section_measures_rows_of_the_same_columns(section: Section, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_VALIDATION", "false")  # two seconds for each app that is a process of its own
    rows = smallest(section.name)
    assert rows
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert all(is_cell(value) for row in rows for value in row.values())
    assert json.loads(json.dumps(rows)) == rows
    assert len(table(rows).splitlines()) == len(rows) + 2


def test_as_many_calls_find_their_model_as_mme_size_predicts() -> None:
    (row,) = smallest("sizing")
    assert row["hits predicted"] == row["hits"]
    assert row["hits"] not in {"0.0%", "100.0%"}


@cache
def smallest(name: str) -> list[dict[str, Any]]:
    (section,) = (section for section in SECTIONS if section.name == name)
    return section.rows(**section.smallest)


def is_cell(value: object) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))


def test_each_section_is_in_the_page_about_it(root: Path) -> None:
    described = re.findall(r"^\| `(\w+)` \|", (root / "docs" / "speed.md").read_text(encoding="utf-8"), re.M)
    assert described == [section.name for section in SECTIONS]


def test_the_results_have_no_section_that_is_no_more(root: Path) -> None:
    results = json.loads((root / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    assert {section["name"] for section in results["sections"]} <= {section.name for section in SECTIONS}


def test_results_are_shown_as_they_were_measured(root: Path) -> None:
    results = json.loads((root / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    assert (root / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8") == page(results) + "\n"


def measured() -> list[dict[str, Any]]:
    return [{"what": "this", "s": 1.5}, {"what": "that", "s": None}]


def failing() -> list[dict[str, Any]]:
    raise ConnectionError("no network")


GOOD = Section("good", "Good", "Seconds.", measured, {})
BAD = Section("bad", "Bad", "Seconds.", failing, {})


def test_what_fails_is_said_and_the_rest_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], [BAD, GOOD], tmp_path) == 1
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [section.get("error") for section in results["sections"]] == ["ConnectionError: no network", None]
    assert results["sections"][1]["rows"] == measured()
    for shown in ((tmp_path / "RESULTS.md").read_text(encoding="utf-8"), capsys.readouterr().out):
        assert "## Bad\n\nSeconds.\n\nNot measured: ConnectionError: no network\n" in shown
        assert "| this   | 1.50 |\n| that   |    - |" in shown


def test_some_sections_alone_leave_the_results_of_the_last_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["good"], [BAD, GOOD], tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
    assert "## Good" in (shown := capsys.readouterr().out)
    assert "## Bad" not in shown


def test_a_section_measured_alone_is_kept_with_its_own_date_and_removed_ones_go(tmp_path: Path) -> None:
    gone = Section("gone", "Gone", "Seconds.", measured, {})
    main([], [gone, BAD], tmp_path)
    before = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert main(["--keep", "good"], [GOOD, BAD], tmp_path) == 0
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [section["name"] for section in results["sections"]] == ["good", "bad"]
    assert (results["run"], results["sections"][1]) == (before["run"], before["sections"][1])
    run = results["sections"][0]["run"]
    shown = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert f"Seconds.\n\nMeasured by itself, {run['date']}, commit {run['commit']}; load average" in shown
    assert shown.count("Measured by itself") == 1


def test_a_section_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["better"], [BAD, GOOD], tmp_path)
    assert "no section is called better: there are bad, good" in capsys.readouterr().err
