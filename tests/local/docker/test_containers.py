"""Endpoints on images that speak SageMaker's contract, in Docker."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from .conftest import MEMORY_MIB, Images, Site, multi_model
from .images import docker


def test_a_model_is_loaded_and_called_as_on_sagemaker(site: Site, endpoint: str) -> None:
    name, target, folder, body = site.call(endpoint, "hello", "a").split("|")
    assert (name, target, body) == ("a", "a.tar.gz", "hello")
    assert Path(folder).parts[:4] == ("/", "opt", "ml", "models")
    assert Path(folder).parts[5:] == ("model",)


def test_models_make_room_for_each_other_when_the_container_answers_507(site: Site, endpoint: str) -> None:
    for model in "abcabc":
        assert site.call(endpoint, model=model).startswith(f"{model}|")


def test_a_container_is_run_with_serve_and_the_variables_of_both(site: Site, endpoint: str) -> None:
    assert json.loads(site.call(endpoint, {"do": "arguments"}, "a")) == ["serve"]
    environment = json.loads(site.call(endpoint, {"do": "environment"}, "a"))
    assert environment["SAGEMAKER_MULTI_MODEL"] == "true"
    assert environment["GREETING"] == "two\nlines"
    assert environment["EMPTY"] == ""
    assert not [name for name in environment if name.startswith(("AWS_", "MINISTACK", "DOCKER"))]


def test_a_container_can_not_change_its_models(site: Site, endpoint: str) -> None:
    folder = site.call(endpoint, model="a").split("|")[2]
    assert "Read-only file system" in site.call_refused(endpoint, {"do": "write", "path": f"{folder}/name"}, "a")
    assert site.call(endpoint, {"do": "write", "path": "/tmp/scratch"}, "a") == "written"


def test_all_its_memory_may_be_shared_memory(site: Site, endpoint: str) -> None:
    assert int(site.call(endpoint, {"do": "shared memory"}, "a")) == MEMORY_MIB * 1024**2


def test_output_is_in_cloudwatch_logs(site: Site, endpoint: str) -> None:
    site.call(endpoint, {"do": "print", "text": "said by the container"}, "a")
    logs = site.local.client("logs")
    group = f"/aws/sagemaker/Endpoints/{endpoint}"

    def delivered() -> bool:
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return False
        events = logs.filter_log_events(logGroupName=group)["events"]
        return "said by the container" in [event["message"] for event in events]

    site.eventually(delivered)


def test_models_are_readable_for_an_image_with_another_user(site: Site, images: Images) -> None:
    endpoint = site.deploy(multi_model(images.of_a_user))
    assert site.call(endpoint, model="a").startswith("a|")
    site.delete(endpoint)


def test_a_pipeline_has_single_models_and_images_without_one(site: Site, images: Images) -> None:
    first = {"Image": images.usual, "ModelDataUrl": "s3://models/m/b.tar.gz"}
    last = {"Image": images.model_inside}
    endpoint = site.deploy(first, multi_model(images.usual), last)
    target = "/opt/ml/models/"
    answer = site.call(endpoint, "x", "a")
    assert answer.startswith(f"no model|None|/opt/ml/model|a|a.tar.gz|{target}")
    assert answer.endswith("|b|None|/opt/ml/model|x")
    site.delete(endpoint)


def test_containers_called_directly_are_told_ports_of_their_own(site: Site, images: Images) -> None:
    hosts = ["first", "second"]
    containers = [{"Image": images.model_inside, "ContainerHostname": host} for host in hosts]
    endpoint = site.deploy(*containers, mode="Direct")
    order = {"do": "environment"}
    environments = [json.loads(site.call(endpoint, order, TargetContainerHostname=host)) for host in hosts]
    assert [each["MODEL_INSIDE"] for each in environments] == ["yes", "yes"]
    ports = [int(each["SAGEMAKER_BIND_TO_PORT"]) for each in environments]
    safe = [[int(port) for port in each["SAGEMAKER_SAFE_PORT_RANGE"].split("-")] for each in environments]
    assert ports[0] < safe[0][0] < safe[0][1] < ports[1] < safe[1][0] < safe[1][1]
    site.delete(endpoint)


def test_a_container_that_dies_is_replaced_with_its_models(site: Site, images: Images) -> None:
    endpoint = site.deploy(multi_model(images.usual))
    before = site.containers()
    site.call_refused(endpoint, {"do": "die"}, "a")
    assert site.eventually(lambda: answered(site, endpoint)).startswith("a|")
    assert len(set(site.containers()) - set(before)) == 1
    site.delete(endpoint)


def test_a_container_beyond_its_memory_is_killed_and_replaced(site: Site, images: Images) -> None:
    endpoint = site.deploy(multi_model(images.usual))
    site.call_refused(endpoint, {"do": "allocate", "mib": 2 * MEMORY_MIB}, "a")
    assert site.eventually(lambda: answered(site, endpoint)).startswith("a|")
    site.delete(endpoint)


def answered(site: Site, endpoint: str) -> str:
    try:
        return site.call(endpoint, model="a")
    except ClientError:
        return ""


def test_an_endpoint_whose_container_does_not_start_says_what_it_said(site: Site, images: Images) -> None:
    endpoint = site.start(site.model(multi_model(images.usual, FAIL_AT_START="yes")))
    status, reason = site.settled(endpoint)
    assert status == "Failed"
    assert "did not pass the ping health check" in reason
    assert "ended at start with status 1" in reason
    assert "no licence" in reason
    site.delete(endpoint)


def test_an_image_that_can_not_be_had_fails_the_endpoint(site: Site) -> None:
    image = "127.0.0.1:9/nothing:1"
    endpoint = site.start(site.model(multi_model(image)))
    status, reason = site.settled(endpoint)
    assert status == "Failed"
    assert f"image {image} could not be pulled; does `docker pull {image}` work?" in reason
    site.delete(endpoint)


def test_create_model_refuses_an_image_without_the_labels_in_sagemakers_words(site: Site, images: Images) -> None:
    message = "Your Ecr Image {} does not contain required com.amazonaws.sagemaker.capabilities.{}=true Docker label"
    with pytest.raises(ClientError) as caught:
        site.model(multi_model(images.unlabelled))
    assert message.format(images.unlabelled, "multi-models") in str(caught.value)
    with pytest.raises(ClientError) as caught:
        site.model(multi_model(images.usual), {"Image": images.unlabelled})
    assert message.format(images.unlabelled, "accept-bind-to-port") in str(caught.value)
    assert site.model({"Image": images.unlabelled}), "alone and with one model it needs none"


def test_an_image_for_other_processors_fails_the_endpoint(site: Site, images: Images) -> None:
    endpoint = site.start(site.model(multi_model(images.usual)), instance_type="ml.m6gd.large")
    status, reason = site.settled(endpoint)
    assert status == "Failed"
    assert f"image {images.usual} is for amd64, the instance type's processors are arm64" in reason
    site.delete(endpoint)


@pytest.fixture
def listener() -> Iterator[dict[str, Any]]:
    """A server on the machine's side of Docker's usual network: as far out as a test can see."""
    host = next(each.address for each in psutil.net_if_addrs()["docker0"] if each.family == socket.AF_INET)
    with socketserver.TCPServer((host, 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield {"do": "connect", "host": host, "port": server.server_address[1]}
        server.shutdown()
        thread.join()


def test_an_isolated_container_gets_nowhere(site: Site, images: Images, listener: dict[str, Any]) -> None:
    isolated = site.deploy(multi_model(images.usual), isolated=True)
    # the one or the other, by Docker's version
    assert re.search("No route to host|Network is unreachable|timed out", site.call_refused(isolated, listener, "a"))
    assert "gaierror" in site.call_refused(isolated, {"do": "resolve", "host": "example.org"}, "a")
    assert site.call(isolated, model="a").startswith("a|")
    other = site.deploy(multi_model(images.usual))
    assert site.call(other, listener, "a") == "connected"
    site.delete(isolated)
    site.delete(other)


def identity(site: Site, endpoint: str) -> str:
    """Of the endpoint's container."""
    return str(json.loads(site.call(endpoint, {"do": "environment"}, "a"))["HOSTNAME"])


def address(site: Site, endpoint: str) -> str:
    """Of the endpoint's container."""
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("inspect", "--format", form, identity(site, endpoint))


def test_containers_of_different_servers_do_not_reach_each_other(site: Site, images: Images, endpoint: str) -> None:
    other = site.deploy(multi_model(images.usual))
    order = {"do": "connect", "host": address(site, endpoint), "port": 8080}
    assert site.call(endpoint, order, "a") == "connected"
    assert "Error" in site.call_refused(other, order, "a")
    site.delete(other)


def test_no_port_of_this_machine_leads_to_a_container(site: Site, endpoint: str) -> None:
    assert docker("port", identity(site, endpoint)) == ""
    assert address(site, endpoint).startswith("10.")
