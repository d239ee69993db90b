"""The checks of ``mme check-image``, each against a server that does just this wrong, without Docker."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from mme_local.checking import calls, rules
from mme_local.checking.calls import Calls, Payload, session
from mme_local.checking.contract import Contract
from mme_local.checking.image import image_findings
from mme_local.checking.models import Models
from mme_local.checking.rules import Check, NotOk, Verdict
from mme_local.servers.docker.client import Image

from .contract_server import Server

FAILS, WARNS, NOT_TESTED = Verdict.FAILS, Verdict.WARNS, Verdict.NOT_TESTED
Problems: TypeAlias = dict[Check, tuple[Verdict, str]]

WRONG: dict[str, Problems] = {
    "lists no objects": {rules.LIST: (FAILS, 'must be {"models": [{"modelName": …')},
    "lists nothing": {rules.LIST: (FAILS, "3 of 3 loaded models are missing, in 1 page")},
    "lists no page but the first": {rules.LIST: (FAILS, "1 of 3 loaded models are missing, in 1 page")},
    "lists one page for ever": {rules.LIST: (FAILS, "answers next_page_token=0 with the nextPageToken 0 again")},
    "lists what is not loaded": {rules.LIST: (WARNS, "lists 'ghost', too")},
    "lists other urls": {rules.LIST: (WARNS, "has the modelUrl '/elsewhere'")},
    "lists what is unloaded": {rules.UNLOAD: (FAILS, "lists the model afterwards")},
    "describes what is unknown": {rules.UNKNOWN_DESCRIBED: (FAILS, "answered 200, must be 404")},
    "unloads what is unknown": {rules.UNKNOWN_UNLOADED: (FAILS, "answered 200, must be 404")},
    "answers for what is unknown": {rules.UNKNOWN_INVOKED: (FAILS, "answered 200: ?, must be 404")},
    "loads what is loaded": {rules.LOAD_TWICE: (FAILS, "answered 200: loaded, must be 409")},
    "describes another": {rules.DESCRIBE: (FAILS, '"another"')},
    "fails at calls": {rules.INVOKE: (FAILS, "answered 500: fails to a call of a loaded model")},
    "has room for one": {
        rules.SEVERAL: (FAILS, "answered 404: no such model to a call of loaded model 1 of 3"),
        rules.NO_MEMORY: (NOT_TESTED, "models fit in 192 MiB: give bigger ones with --model, or less --memory"),
        rules.ROOM: (NOT_TESTED, "it never answered 507"),
    },
    "goes by the header": {rules.INVOKE: (FAILS, "answered 404: no such model to a call of a loaded model")},
    "fails at calls of others": {rules.SEVERAL: (FAILS, "answered 500: fails to a call of loaded model 2 of 3")},
    "answers no ping in loads": {rules.PINGS: (FAILS, "did not answer GET /ping within 0.1 seconds")},
    "keeps what is unloaded": {
        rules.UNLOAD: (FAILS, "to a description afterwards, must be 404"),
        rules.LOAD_AGAIN: (NOT_TESTED, "no model was unloaded"),
        rules.ROOM: (FAILS, "answers 507 to the model that did not fit, with all others unloaded"),
    },
    "loads once": {rules.LOAD_AGAIN: (FAILS, "answered 500: loaded before, must be 200")},
    "says nothing of memory": {
        rules.NO_MEMORY: (FAILS, "answered 500: full to model 6, must be 200 or 507"),
        rules.ROOM: (NOT_TESTED, "it never answered 507"),
    },
    "is full for ever": {rules.ROOM: (FAILS, "answers 507 to the model that did not fit, with all others unloaded")},
}


@contextmanager
def served(root: Path, fault: str = "", capacity: int = 5) -> Iterator[str]:
    faults = frozenset({fault})
    with Server(("127.0.0.1", 0), capacity=capacity, page=2, faults=faults, root=root) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def problems(base: str, models: Models, payload: Payload | None, memory: int | None) -> Problems:
    found = {}
    async with session(base) as made:
        for check, step in Contract(Calls(made), models, payload, memory).steps():
            try:
                await step()
            except NotOk as outcome:
                found[check] = (outcome.verdict, str(outcome))
    return found


@pytest.fixture
def make_models(tmp_path: Path) -> Callable[..., Models]:
    """Models at SageMaker's path below the test's folder; the server loads those with a name."""

    def make(*sources: str) -> Models:
        folders = [tmp_path / f"source{number}" for number in range(len(sources))]
        for folder, file in zip(folders, sources, strict=True):
            folder.mkdir()
            (folder / file).write_text(folder.name)
        models = Models(tmp_path / "opt" / "ml" / "models", folders)
        models.prepare(threading.Event())
        return models

    return make


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for two seconds is no fault of the server."""
    monkeypatch.setattr(calls, "PING_SECONDS", 60.0)


CALLED_WITH = Payload(b"hello", "text/plain")


async def test_a_server_that_keeps_the_contract_has_no_problems(
    tmp_path: Path, make_models: Callable[..., Models]
) -> None:
    with served(tmp_path) as base:
        assert await problems(base, make_models("name"), CALLED_WITH, 192) == {}


@pytest.mark.parametrize("fault", WRONG)
async def test_what_is_wrong_fails_its_own_check(
    fault: str, tmp_path: Path, make_models: Callable[..., Models], monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "answers no ping in loads":
        monkeypatch.setattr(calls, "PING_SECONDS", 0.1)  # for the server waits until it is over
    with served(tmp_path, fault) as base:
        found = await problems(base, make_models("name"), CALLED_WITH, 192)
    expected = WRONG[fault]
    assert {check.name: verdict for check, (verdict, _) in found.items()} == {
        check.name: verdict for check, (verdict, _) in expected.items()
    }
    for check, (_, part) in expected.items():
        assert part in found[check][1]


async def test_memory_is_tested_only_where_it_is_limited(tmp_path: Path, make_models: Callable[..., Models]) -> None:
    with served(tmp_path) as base:
        found = await problems(base, make_models("name"), CALLED_WITH, None)
    assert found == {
        rules.NO_MEMORY: (NOT_TESTED, "give --memory MIB: less than all models need, and enough for one"),
        rules.ROOM: (NOT_TESTED, "it never answered 507"),
    }


async def test_room_for_one_model_is_too_little_to_test_several(
    tmp_path: Path, make_models: Callable[..., Models]
) -> None:
    with served(tmp_path, capacity=1) as base:
        found = await problems(base, make_models("name"), CALLED_WITH, 192)
    assert found == {
        rules.SEVERAL: (NOT_TESTED, "it answered 507 to the second: give more --memory, or smaller models"),
    }


async def test_room_for_no_model_is_too_little_to_test_anything(
    tmp_path: Path, make_models: Callable[..., Models]
) -> None:
    with served(tmp_path, capacity=0) as base:
        found = await problems(base, make_models("name"), CALLED_WITH, 192)
    assert found.pop(rules.LOAD) == (NOT_TESTED, "it answered 507 with 192 MiB: give more --memory")
    assert set(found) == LOADED


async def test_without_a_payload_only_a_404_is_wrong(tmp_path: Path, make_models: Callable[..., Models]) -> None:
    with served(tmp_path, "fails at calls") as base:
        found = await problems(base, make_models("name"), None, 192)
    assert found == {
        rules.INVOKE: (NOT_TESTED, "it answered 500: fails to an empty body: give one of yours with --payload"),
    }


LOADED = {
    rules.LOAD_TWICE,
    rules.DESCRIBE,
    rules.INVOKE,
    rules.SEVERAL,
    rules.PINGS,
    rules.LIST,
    rules.UNLOAD,
    rules.LOAD_AGAIN,
    rules.NO_MEMORY,
    rules.ROOM,
}


async def test_a_model_that_is_not_loaded_fails_and_the_rest_is_not_tested(
    tmp_path: Path, make_models: Callable[..., Models]
) -> None:
    with served(tmp_path) as base:
        found = await problems(base, make_models("weights"), CALLED_WITH, 192)
    verdict, detail = found.pop(rules.LOAD)
    assert verdict == FAILS
    assert detail.startswith("answered 500: FileNotFoundError: ")
    assert {check: verdict for check, (verdict, _) in found.items()} == dict.fromkeys(LOADED, NOT_TESTED)


async def test_a_made_up_model_that_is_not_loaded_says_nothing_of_the_image(
    tmp_path: Path, make_models: Callable[..., Models]
) -> None:
    with served(tmp_path) as base:
        found = await problems(base, make_models(), CALLED_WITH, 192)
    verdict, detail = found.pop(rules.LOAD)
    assert verdict == NOT_TESTED
    assert detail.endswith(" to a made-up model: give one of yours with --model")
    assert set(found) == LOADED


async def test_each_given_model_is_loaded_and_called_as_by_sagemaker(
    tmp_path: Path, make_models: Callable[..., Models]
) -> None:
    models = make_models("name", "name")
    with served(tmp_path) as base:
        async with session(base) as made:
            container = Calls(made)
            for number, source in enumerate(["source0", "source1", "source0"], 1):
                model = models.new()
                assert (await container.load(model)).status == 200
                answer = await container.invoke(model, CALLED_WITH)
                said = f"{source}|check-image/model-{number}.tar.gz|/opt/ml/models/{model.name}/model|hello"
                assert answer.body.decode() == said


async def test_a_server_that_is_gone_did_not_answer(tmp_path: Path, make_models: Callable[..., Models]) -> None:
    with served(tmp_path) as base:
        pass
    async with session(base) as made:
        with pytest.raises(calls.NoAnswer, match="did not answer DELETE /models/"):
            await Calls(made).unload(make_models("name").new())


GOOD = Image(
    "amd64",
    {f"com.amazonaws.sagemaker.capabilities.{name}": "true" for name in ("multi-models", "accept-bind-to-port")},
    "",
    ["python", "serve.py"],
)
IMAGES = [
    (Image(GOOD.architecture, {}, "", []), {rules.MULTI_MODEL_LABEL: FAILS, rules.PIPELINE_LABEL: WARNS}),
    (Image("arm64", GOOD.labels, "0:0", []), {rules.ARCHITECTURE: WARNS}),
    (Image("s390x", GOOD.labels, "root", []), {rules.ARCHITECTURE: FAILS}),
    (Image("amd64", GOOD.labels, "12345", []), {rules.USER: WARNS}),
    (Image("amd64", GOOD.labels, "", ["/bin/sh", "-c", "python serve.py"]), {rules.ENTRY_POINT: WARNS}),
    (Image("amd64", GOOD.labels, "", ["/usr/bin/tini", "--", "python"]), {rules.ENTRY_POINT: WARNS}),
    (GOOD, {}),
]


@pytest.mark.parametrize(("image", "expected"), IMAGES)
def test_an_image_is_looked_at_before_it_runs(image: Image, expected: dict[Check, Verdict]) -> None:
    found = {finding.check: finding.verdict for finding in image_findings("own:1", image)}
    assert {check: verdict for check, verdict in found.items() if verdict is not Verdict.OK} == expected
    assert len(found) == 5


def test_the_documentation_shows_every_check(root: Path) -> None:
    shown = re.findall(
        r"^(?:ok|fails|not tested) +([^:\n]+)", (root / "docs" / "containers.md").read_text(), re.MULTILINE
    )
    assert shown == [value.name for value in vars(rules).values() if isinstance(value, Check)]


def test_a_missing_label_is_named_in_sagemakers_words() -> None:
    first = next(image_findings("own:1", IMAGES[0][0]))
    label = "com.amazonaws.sagemaker.capabilities.multi-models=true"
    assert first.detail == f"Your Ecr Image own:1 does not contain required {label} Docker label(s)."
