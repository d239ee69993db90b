"""What a real client makes of every answer of the platform."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from mme_local.platform import Settings
from mme_local.platform import errors as platform_errors
from mme_local.platform.artifacts import ArtifactStore
from mme_local.platform.failures import Failures, unexpected
from mme_local.servers.base import ServerResponse

from .conftest import Endpoints, Hosted, Until, World

Answer = tuple[int, Any, bytes]


class Raw:
    """The body of a response as urllib3 gives it to botocore."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body

    def read(self, *_: Any) -> bytes:
        body, self._body = self._body, b""
        return body


def parsed(answer: Answer) -> tuple[Any, Any]:
    """Pass status, headers and body through a real boto3 client; return what its user sees."""
    client = boto3.client(
        "sagemaker-runtime",
        region_name="us-east-1",
        aws_access_key_id="1",
        aws_secret_access_key="1",
        config=Config(retries={"total_max_attempts": 1}),
    )
    status, headers, body = answer

    def respond(request: AWSPreparedRequest, **_: Any) -> Any:
        return AWSResponse(request.url, status, headers, Raw(body))

    client.meta.events.register("before-send.sagemaker-runtime.InvokeEndpoint", respond)
    try:
        return client, client.invoke_endpoint(EndpointName="demo", Body=b"x")
    except ClientError as error:
        return client, error


def check(answer: Answer, type_: str, status: int, message: str) -> Mapping[str, Any]:
    client, error = parsed(answer)
    assert isinstance(error, ClientError)
    assert type(error) is client.exceptions.from_code(type_), "the client knows the type"
    assert error.response["Error"]["Code"] == type_
    assert message in error.response["Error"]["Message"]
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status
    return error.response


FAILURES = Failures("demo", "primary", "arn:aws:logs:us-east-1:000000000000:log-group:/aws/sagemaker/Endpoints/demo")


@pytest.mark.parametrize(
    ("error", "type_", "status"),
    [
        (platform_errors.InvalidRequest("words"), "ValidationError", 400),
        (platform_errors.ModelNotReadyException("words"), "ModelNotReadyException", 429),
        (platform_errors.InternalFailure("words"), "InternalFailure", 500),
        (platform_errors.ServiceUnavailable("words"), "ServiceUnavailable", 503),
        (platform_errors.InternalDependencyException("words"), "InternalDependencyException", 530),
        (FAILURES.model_error(500, "words"), "ModelError", 424),
        (FAILURES.invocation_timed_out(), "ModelError", 424),
        (unexpected(ValueError("words")), "InternalFailure", 500),
    ],
    ids=lambda value: getattr(value, "type", None),
)
def test_clients_understand_every_error(error: platform_errors.InvokeError, type_: str, status: int) -> None:
    check(error.response(), type_, status, "timed out" if "timed out" in error.message else "words")


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (400, "Received client error (400) from primary", "CLIENT_ERROR_FROM_MODEL"),
        (503, "Received server error (503) from primary", "INTERNAL_FAILURE_FROM_MODEL"),
        (0, "Received server error (0) from primary", "INTERNAL_FAILURE_FROM_MODEL"),
    ],
)
def test_a_model_error_carries_what_the_container_answered(status: int, words: str, code: str) -> None:
    response = check(FAILURES.model_error(status, "out of \x00 \u2603").response(), "ModelError", 424, words)
    assert response["OriginalStatusCode"] == status
    assert response["OriginalMessage"] == "out of \x00 \u2603"
    assert response["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/demo")
    assert f'"ErrorCode": "{code}"'.encode() in FAILURES.model_error(status, "").response()[2]


def test_long_messages_of_a_container_are_cut_to_what_the_api_allows() -> None:
    response = check(FAILURES.model_error(500, "x" * 100_000).response(), "ModelError", 424, "xxx")
    assert len(response["OriginalMessage"]) == 2048
    assert len(response["Error"]["Message"]) <= 2048


async def test_a_success_is_parsed_with_all_its_members(at: Endpoints, world: World) -> None:
    attributes = {"Content-Type": "a/b", "X-Amzn-SageMaker-Custom-Attributes": "c"}
    world.answer = lambda *_: ServerResponse(200, attributes, bytes(range(256)))
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    _, response = parsed(await at.invoke())
    assert response["Body"].read() == bytes(range(256))
    assert response["ContentType"] == "a/b"
    assert response["InvokedProductionVariant"] == "AllTraffic"
    assert response["CustomAttributes"] == "c"


async def test_a_full_disk_is_the_containers_507_and_no_fault_of_ours(
    at: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    with monkeypatch.context() as patch:
        patch.setattr(ArtifactStore, "_download", full)
        response = check(await at.invoke(), "ModelError", 424, "no space left on the local disk")
    assert response["OriginalStatusCode"] == 507
    assert (await at.invoke())[0] == 200


async def test_wrong_requests_get_sagemakers_validation_errors(at: Endpoints, world: World) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    at.bucket.put("models/broken.tar.gz", b"no archive")
    single = at.container(multi_model=False, model_data_url=f"s3://{at.bucket.name}/models/a.tar.gz")
    await at.hosting.deploy(at.spec())
    await at.hosting.deploy(at.spec(at.variant("AllTraffic", single), name="single"))

    def refused(answer: Answer, words: str) -> None:
        check(answer, "ValidationError", 400, words)

    refused(await at.invoke(name="none"), "Endpoint none of account 000000000000 not found.")
    refused(await at.invoke(None), "is missing a target model header.")
    message = "Endpoint single is not a multi-model endpoint and does not support target model header."
    refused(await at.invoke(name="single"), message)
    assert b'"TARGET_MODEL_HEADER_NOT_SUPPORTED"' in (await at.invoke(name="single"))[2]
    refused(await at.invoke("a" * 1025), "length less than or equal to 1024")
    for target in (" a", "a\nb", "a\x7f", ""):
        refused(await at.invoke(target), "regular expression pattern")
    refused(await at.invoke(x_amzn_sagemaker_target_variant="None"), "Variant None not found for endpoint demo")
    refused(await at.invoke(x_amzn_sagemaker_target_container_hostname="c"), "direct invocation")
    refused(await at.invoke(x_amzn_sagemaker_custom_attributes="c" * 1025), "'customAttributes'")
    words = f"Failed to download model data(bucket: {at.bucket.name}, key: models/none.tar.gz)"
    refused(await at.invoke("none.tar.gz"), words)
    refused(await at.invoke("broken.tar.gz"), "Please ensure that the object located at the URL is a valid tar.gz")


async def test_a_body_of_25_megabytes_passes_and_one_byte_more_is_refused(at: Endpoints, world: World) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    biggest = bytes(26_214_400)
    assert (await at.invoke(body=biggest))[0] == 200
    check(await at.invoke(body=biggest + b"1"), "ValidationError", 400, "less than or equal to 26214400")


async def test_a_slow_load_is_not_ready_and_a_slow_container_a_model_error(
    hosted: Hosted, world: World, until: Until
) -> None:
    at = hosted(settings=Settings(wait_timeout=0.2, invoke_timeout=0.5, publish_interval=3600))
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    gate = world.load_gates["a.tar.gz"] = asyncio.Event()
    check(await at.invoke(), "ModelNotReadyException", 429, "try again")
    gate.set()
    await until(lambda: world.servers[0].models)
    world.invoke_gates["a.tar.gz"] = asyncio.Event()
    response = check(await at.invoke(), "ModelError", 424, "Your invocation timed out while waiting")
    assert response["OriginalStatusCode"] == 0
    assert (await at.invoke())[0] == 200


async def hung_up(at: Endpoints, world: World, until: Until) -> asyncio.Event:
    """Have a caller of "a" hang up while the server works, and return what lets it answer."""
    gate = world.invoke_gates["a"] = asyncio.Event()
    call = asyncio.create_task(at.invoke("a"))
    await until(lambda: world.servers[0].invocations)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    return gate


async def test_a_caller_that_hangs_up_does_not_leave_its_model_in_use(
    at: Endpoints, world: World, until: Until
) -> None:
    for name in "ab":
        at.bucket.put_model(f"models/{name}", b"m")
    world.capacity = 1
    await at.hosting.deploy(at.spec())
    gate = await hung_up(at, world, until)
    gate.set()
    assert (await at.invoke("b"))[0] == 200


async def test_nobody_complains_of_what_a_caller_that_has_hung_up_was_answered(
    at: Endpoints, world: World, until: Until
) -> None:
    at.bucket.put_model("models/a", b"m")
    await at.hosting.deploy(at.spec())
    gate = await hung_up(at, world, until)
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    world.servers[0].crash()
    gate.set()
    await until(lambda: len(world.servers) == 2)  # another takes its place, so its failure is known
    gc.collect()
    assert complaints == []


async def test_an_s3_that_does_not_answer_is_a_dependency_failure(at: Endpoints, world: World) -> None:
    at.hosting._around.store._endpoint_url = "http://127.0.0.1:9"
    await at.hosting.deploy(at.spec())
    check(await at.invoke(), "InternalDependencyException", 530, "S3 failed")


async def test_a_bug_of_ours_is_an_internal_failure(at: Endpoints, world: World) -> None:
    def bug(*_: Any) -> ServerResponse:
        raise ZeroDivisionError("oops")

    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    world.answer = bug
    check(await at.invoke(), "InternalFailure", 500, "ZeroDivisionError: oops")
