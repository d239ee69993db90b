"""Headers made to do harm: none reaches another model than it names, another server, or another header."""

from __future__ import annotations

import asyncio

from .conftest import Endpoints, World

SECRET = b"of another tenant"
UPS = [
    "../",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "..%252f",
    "..\\",
    "..%5c",
    "....//",
    "..;/",
    "..%c0%af",
    "\uff0e\uff0e/",
    "./../",
]
TARGETS = [
    *(up + "secret.tar.gz" for up in UPS),
    *("a/" + up * 2 + "secret.tar.gz" for up in UPS),
    *(up + "models/a.tar.gz" for up in UPS),
    "/../secret.tar.gz",
    "//secret.tar.gz",
    "/secret.tar.gz",
    "s3://{bucket}/secret.tar.gz",
    "https://s3.amazonaws.com/{bucket}/secret.tar.gz",
    "http://127.0.0.1:1/x",
    "file:///etc/passwd",
    "/etc/passwd",
    "/proc/self/environ",
    "a.tar.gz?versionId=1",
    "a.tar.gz?x=../secret.tar.gz",
    "a.tar.gz#../secret.tar.gz",
    "a.tar.gz;../secret.tar.gz",
    "a.tar.gz,../secret.tar.gz",
    "a.tar.gz\r\nX-Amzn-SageMaker-Target-Model: secret.tar.gz",
    "a.tar.gz\n../secret.tar.gz",
    "a.tar.gz\0../secret.tar.gz",
    "\ta.tar.gz",
    " a.tar.gz",
    "",
    ".",
    "..",
    "/",
    "*",
    "%",
    "%zz",
    "%00",
    "$(touch /tmp/mme-escape)",
    "`touch /tmp/mme-escape`",
    "; touch /tmp/mme-escape;",
    "| touch /tmp/mme-escape",
    "{0}{1}",
    "%s%n",
    "'; DROP TABLE models; --",
    "\x7f",
    "\x85",
    "😀.tar.gz",
    "é.tar.gz",
    "\u202egz.rat.a",
    "x" * 1024,
    "x" * 1025,
    "../" * 341,
    "a/" * 512,
]
BREAKS = ["\r\nX-Evil: 1", "\nX-Evil: 1", "\r\n\r\nGET / HTTP/1.1", "\0", "x" * 1025]
OTHERS = ["x-amzn-sagemaker-target-variant", "x-amzn-sagemaker-target-container-hostname"]
FORWARDED = ["content-type", "accept", "x-amzn-sagemaker-custom-attributes"]
SHAPES = [{"x-amzn-sagemaker-target-model": target} for target in TARGETS] + [
    {"x-amzn-sagemaker-target-model": "a.tar.gz", header: "x" + end} for header in OTHERS + FORWARDED for end in BREAKS
]


def test_there_are_as_many_as_an_attack_has_tried() -> None:
    assert len(SHAPES) >= 85


async def test_no_shape_of_headers_reaches_another_model(at: Endpoints, world: World) -> None:
    at.bucket.put_model("secret.tar.gz", SECRET)
    at.bucket.put_model("models/a.tar.gz", b"a")
    await at.hosting.deploy(at.spec())
    for shape in SHAPES:
        headers = {name: value.replace("{bucket}", at.bucket.name) for name, value in shape.items()}
        status, _, body = await asyncio.wait_for(at.hosting.invoke("demo", headers, b"x"), 20)
        assert SECRET not in body, shape
        assert status in (200, 400, 424), (shape, status, body)
    loaded = {target for server in world.servers for target, _ in server.models.values()}
    assert loaded == {"a.tar.gz"}
    assert (await at.invoke("a.tar.gz"))[2] == b"a|x"
