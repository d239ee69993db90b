"""What is special about models that are not kept, containers in a row, and bodies that are no text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import SERVERS, Endpoint, Site, archive, needs_triton

KNN = "174872318107.dkr.ecr.us-west-2.amazonaws.com/knn:1"
XGBOOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
BINARY = "application/vnd.sagemaker-triton.binary+json;json-header-size="

OWN = {"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
"""For a single model that brings its program."""

TO_CSV = """
import json

def model_fn(model_dir):
    return ("area", "rooms", "age", "distance")

def input_fn(data, content_type):
    return json.loads(data)

def predict_fn(houses, names):
    return "\\n".join(",".join(str(house[name]) for name in names) for house in houses)

def output_fn(prediction, accept):
    return prediction, "text/csv"
"""

ECHO = """
def model_fn(model_dir):
    return None

def input_fn(data, content_type):
    return bytes(data)

def predict_fn(data, model):
    return data

def output_fn(prediction, accept):
    return prediction, accept
"""

TRITON_ECHO = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.get_input_tensor_by_name(each, "X")]) for each in requests]
"""

TRITON_ECHO_CONFIG = """
backend: "python"
input [ { name: "X" data_type: TYPE_UINT8 dims: [ -1 ] } ]
output [ { name: "X" data_type: TYPE_UINT8 dims: [ -1 ] } ]
instance_group [ { kind: KIND_CPU } ]
"""


@pytest.mark.parametrize("kind", SERVERS)
def test_with_the_cache_disabled_each_call_loads_anew_and_nothing_stays(
    endpoint: Callable[..., Endpoint], eventually: Callable[..., Any], kind: str
) -> None:
    at = endpoint(kind, MultiModelConfig={"ModelCacheSetting": "Disabled"})
    at.add("fleeting.tar.gz")
    for number in (1, 2):
        assert at.ask("fleeting.tar.gz", number).ok
        eventually(lambda: len(at.events("unloaded", "fleeting.tar.gz")) == number)  # noqa: B023
        assert at.loads("fleeting.tar.gz") == len(at.events("downloaded", "fleeting.tar.gz")) == number
        eventually(lambda: not at.holding())
        eventually(lambda: not list(at.disk.iterdir()))


def test_a_pipeline_answers_with_what_its_containers_do_one_after_the_other(site: Site, root: Path) -> None:
    folder = root / "stacks" / "models"
    (sample,) = [each for each in json.loads((folder / "samples.json").read_text()) if each["model"] == "house-price"]
    site.s3.put_object(Bucket="models", Key="to-csv.tar.gz", Body=archive({"code/inference.py": TO_CSV.encode()}))
    house_price = (folder / "xgboost" / "house-price" / "xgboost-model").read_bytes()
    body = archive({"xgboost-model": house_price})
    site.s3.put_object(Bucket="models", Key="houses/house-price.tar.gz", Body=body)
    first = site.container("mms", "", Mode="SingleModel", ModelDataUrl="s3://models/to-csv.tar.gz", Environment=OWN)
    described = site.create(site.config(first, site.container("mms", "houses", Image=XGBOOST)))
    assert described["EndpointStatus"] == "InService", described
    names = ("area", "rooms", "age", "distance")
    rows = [line.split(",") for line in sample["body"].splitlines()]
    houses = [dict(zip(names, map(float, row), strict=True)) for row in rows]
    answer = site.invoke(
        described["EndpointName"],
        json.dumps(houses).encode(),
        TargetModel="house-price.tar.gz",
        Accept="application/json",
    )
    site.delete(described["EndpointName"])
    assert answer.ok, answer
    assert json.loads(answer.body) == pytest.approx(sample["prediction"])


def test_with_direct_invocation_each_call_runs_the_container_that_it_names_alone(site: Site) -> None:
    site.s3.put_object(Bucket="models", Key="to-csv.tar.gz", Body=archive({"code/inference.py": TO_CSV.encode()}))
    site.s3.put_object(Bucket="models", Key="direct/echo.tar.gz", Body=archive({"inference.py": ECHO.encode()}))
    one = {"Mode": "SingleModel", "ModelDataUrl": "s3://models/to-csv.tar.gz", "ContainerHostname": "to-csv"}
    containers = [
        site.container("mms", "", Environment=OWN, **one),
        site.container("mms", "direct", ContainerHostname="many"),
    ]
    name = site.create(site.config(*containers, mode="Direct"))["EndpointName"]
    npy = "application/x-npy"
    house = json.dumps([{"area": 1, "rooms": 2, "age": 3, "distance": 4}]).encode()
    answers = [
        site.invoke(name, house, TargetContainerHostname="to-csv"),
        site.invoke(name, house, npy, Accept=npy, TargetContainerHostname="many", TargetModel="echo.tar.gz"),
        site.invoke(name, house),
        site.invoke(name, house, TargetContainerHostname="none"),
    ]
    site.delete(name)
    assert [answer.body for answer in answers[:2]] == [b"1,2,3,4", house]
    assert [(answer.status, answer.error) for answer in answers[2:]] == [(400, "ValidationError")] * 2


def test_a_pipeline_with_a_container_that_cannot_be_served_says_so_at_the_first_call(site: Site) -> None:
    containers = [site.container("mms", "any"), {"Image": KNN, "ModelDataUrl": "s3://models/knn.tar.gz"}]
    described = site.create(site.config(*reversed(containers)))
    assert described["EndpointStatus"] == "InService", described
    answer = site.invoke(described["EndpointName"], b"1", TargetModel="m.tar.gz")
    site.delete(described["EndpointName"])
    assert (answer.status, answer.error) == (400, "ValidationError")
    assert f"Container container-1 with image {KNN} cannot be served locally" in answer.message


NOISE = random.Random(0).randbytes(3_000_000)


@pytest.mark.parametrize("body", [b"", bytes(range(256)), NOISE], ids=["empty", "every byte", "3 MB"])
def test_an_npy_body_reaches_the_model_and_comes_back_byte_by_byte(
    site: Site, shared: Callable[[str], Endpoint], body: bytes
) -> None:
    at = shared("mms")
    at.put("echo.tar.gz", archive({"inference.py": ECHO.encode()}))
    kind = "application/x-npy"
    answer = site.invoke(at.name, body, kind, Accept=kind, TargetModel="echo.tar.gz")
    assert answer.ok, answer
    assert answer.content_type == kind
    assert answer.body == body


@needs_triton
@pytest.mark.parametrize("values", [bytes(range(256)), NOISE], ids=["every byte", "3 MB"])
def test_tritons_binary_protocol_passes_byte_by_byte(
    site: Site, shared: Callable[[str], Endpoint], values: bytes
) -> None:
    at = shared("triton")
    files = {"config.pbtxt": TRITON_ECHO_CONFIG.encode(), "1/model.py": TRITON_ECHO.encode()}
    at.put("echo.tar.gz", archive(files))
    size = len(values)
    tensor = {"name": "X", "shape": [size], "datatype": "UINT8", "parameters": {"binary_data_size": size}}
    output = {"name": "X", "parameters": {"binary_data": True}}
    header = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    answer = site.invoke(at.name, header + values, f"{BINARY}{len(header)}", TargetModel="echo.tar.gz")
    assert answer.ok, answer
    assert answer.content_type.startswith(BINARY)
    assert answer.body[int(answer.content_type.removeprefix(BINARY)) :] == values
