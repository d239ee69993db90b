"""TorchServe in Docker, on the models whose answers our handler is held against without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from multi_model_endpoint.artifacts.packing import packed
from scripts.make_torchserve_answers import ANSWERS, make_models, shown
from tests.local.docker.conftest import Site, multi_model

from .conftest import Frameworks, invoke


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_it_answers_as_our_handler_does_without_docker(site: Site, frameworks: Frameworks, tmp_path: Path) -> None:
    for name, path in make_models(tmp_path).items():
        with packed(path) as artifact:
            site.s3.put_object(Bucket="models", Key=f"m/{name}.tar.gz", Body=artifact.path.read_bytes())
    endpoint = site.deploy(multi_model(frameworks.torchserve))
    for each in json.loads(ANSWERS.read_text(encoding="utf-8"))["answers"]:
        answer = ask(site, endpoint, each["model"], each["body"].encode("latin-1"), each["headers"])
        assert answer == (each["status"], each["answer"]), each
    site.delete(endpoint)


def ask(site: Site, endpoint: str, model: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    """The status and the answer of the container."""
    options = {name.replace("-", ""): value for name, value in headers.items()}
    try:
        answer = invoke(site, EndpointName=endpoint, TargetModel=f"{model}.tar.gz", Body=body, **options)
    except ClientError as error:
        refused: Any = error.response  # a KeyError, if it is not the container that refuses
        return refused["OriginalStatusCode"], shown(refused["OriginalMessage"].encode("latin-1"))
    return 200, shown(answer["Body"].read())
