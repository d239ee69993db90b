"""The page with charts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from multi_model_endpoint.command import mme
from multi_model_endpoint.pages import Axis, Line, chart

SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for number in range(30):
        (folder / f"m<{number}>").mkdir()
        with (folder / f"m<{number}>" / "weights.bin").open("wb") as file:
            file.truncate(2**28)
    return folder


def written(models: Path, *arguments: str, status: int = 0) -> str:
    path = models / "report.html"
    result = CliRunner().invoke(
        mme, ["size", str(models), "--rps", "5", "--instance", "ml.m6i.large", "--html", str(path), *arguments]
    )
    assert result.exit_code == status, result.output
    return path.read_text()


class Balance(HTMLParser):
    """Sees that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_but_itself(models: Path) -> None:
    page = written(models, "--price", "ml.m6i.large=0.1")
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert not re.search(r"https?:|src=|href=|@import|url\(|<script", page)


def test_the_page_has_the_charts_the_answer_and_what_to_paste(models: Path) -> None:
    page = written(models, "--price", "ml.m6i.large=0.1")
    assert [ElementTree.fromstring(svg).attrib["aria-label"] for svg in SVG.findall(page)] == [
        "Hit ratio against memory",
        "Cost against p99 wait",
        "Popularity",
    ]
    assert "<h1>2 &times; ml.m6i.large</h1>" in page
    assert "instance_type=&quot;ml.m6i.large&quot;" in page
    assert "(--reserve;" in page


def test_without_prices_there_is_no_chart_of_costs(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    page = written(models)
    assert len(SVG.findall(page)) == 2
    assert "No price is known" in page


def test_a_page_on_which_nothing_is_enough_says_why(models: Path) -> None:
    page = written(models, "--price", "ml.m6i.large=0.1", "--reserve", "98", status=1)
    assert "<h1>No instance type is enough</h1>" in page
    assert "30 models need more than its memory" in page


def test_ticks_are_round_and_on_the_axis() -> None:
    assert Axis.from_zero("x", [0.9]).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert Axis.in_decades("x", [1, 300]).ticks() == [1, 10, 100, 1000]
    assert len(Axis.in_decades("x", [1e-9, 1]).ticks()) <= 6
    assert Axis.in_decades("x", [0]).ticks() == [1, 10]


def test_larger_values_are_further_up_and_right() -> None:
    found = ElementTree.fromstring(
        chart("a & b", Axis("x", 0, 10), Axis("y", 0, 1), [Line([(0, 0), (10, 1)], ["low", "high"])])
    )
    low, high = found.findall("circle")
    assert float(low.attrib["cx"]) < float(high.attrib["cx"])
    assert float(low.attrib["cy"]) > float(high.attrib["cy"])
    assert [each.text for each in found.iter("title")] == ["low", "high"]
