"""Models of Hugging Face in Docker, by AWS's inference toolkit for them, as the CDK CLI deploys them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.conftest import Account
from tests.local.docker.conftest import Site

from .app import STACK
from .conftest import TAG, invoke
from .models import PROGRAM, TEXTS, make_model, predictions

APP = Path(__file__).with_name("app.py")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the same kind with other weights, and one with a program of its own."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("first", "second", "program")):
        make_model(folder / name, seed)
    (folder / "program" / "code").mkdir()
    (folder / "program" / "code" / "inference.py").write_text(PROGRAM, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def outputs(
    site: Site, models: Path, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """What the deployed stack says: the endpoint's name, and the target model of each model."""
    account = Account(site.local, "us-east-1", tmp_path_factory.mktemp("cdk.out"))
    account.cdk("bootstrap", "aws://000000000000/us-east-1", cwd=root)
    app = ("--app", f"{sys.executable} {APP}", "--context", f"models={models}", "--context", f"tag={TAG}")
    account.deploy(*app, cwd=root)
    yield account.outputs(STACK)
    account.cdk("destroy", "--all", "--force", *app, cwd=root)


def ask(site: Site, outputs: Mapping[str, str], model: str, inputs: object) -> Any:
    answer = invoke(
        site,
        EndpointName=outputs["EndpointName"],
        TargetModel=outputs[model],
        ContentType="application/json",
        Body=json.dumps({"inputs": inputs}).encode(),
    )
    return json.loads(answer["Body"].read())


def test_models_answer_as_their_pipelines_do_and_make_room_for_each_other(
    site: Site, outputs: Mapping[str, str], models: Path
) -> None:
    expected = {name: predictions(models / name) for name in ("first", "second")}
    assert expected["first"] != expected["second"]
    for name in ("first", "second", "first"):
        found = ask(site, outputs, name, TEXTS)
        assert [each["label"] for each in found] == [each["label"] for each in expected[name]]
        scores = [each["score"] for each in expected[name]]
        assert [each["score"] for each in found] == pytest.approx(scores, rel=1e-5)
    events = list(map(json.loads, site.local.log.read_text().splitlines()))
    unloaded = [each["target_model"] for each in events if each["event"] == "unloaded"]
    assert unloaded == [outputs["first"], outputs["second"]]


def test_a_model_may_have_a_program_of_its_own(site: Site, outputs: Mapping[str, str], models: Path) -> None:
    labels = [each["label"] for each in predictions(models / "program")]
    assert ask(site, outputs, "program", TEXTS) == {"labels": labels}


def test_what_the_pipeline_does_not_take_is_the_callers_mistake(site: Site, outputs: Mapping[str, str]) -> None:
    with pytest.raises(ClientError) as caught:
        ask(site, outputs, "program", 7)
    refused: Any = caught.value.response
    assert refused["OriginalStatusCode"] == 400
    assert "text input must be of type" in refused["OriginalMessage"]
