"""MiniStack with our SageMaker in it, as one ASGI application.

MiniStack reads the process environment while it is imported, so functions import it, here and in the whole folder.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from mme_local import autoscaling, sagemaker
from mme_local.aws.permissions import Permission
from mme_local.aws.protocol import Answer
from mme_local.aws.provisioning import Kind, Provisions
from mme_local.aws.scope import Scope
from mme_local.hosting.plane import Hosting
from mme_local.hosting.spec import MAX_BODY
from mme_local.ministack.alarms import PolicyAlarms, evaluate_alarms_as_cloudwatch_does
from mme_local.ministack.buckets import do_as_s3_does
from mme_local.ministack.credentials import Credentials
from mme_local.ministack.door import BodyTooLong, Door, bounded, is_for_s3
from mme_local.ministack.ecr import know_built_images
from mme_local.ministack.iam import Iam, random_credentials_for_functions
from mme_local.ministack.log_groups import do_as_cloudwatch_logs_does
from mme_local.ministack.networks import have_types_of_networks
from mme_local.ministack.stack_events import tell_of_changes_only
from mme_local.ministack.tagging import show_resources
from mme_local.sagemaker import SageMaker, runtime
from mme_local.sagemaker.alarms import CloudWatchAlarms
from mme_local.sagemaker.cloudformation import TYPES, Provisioner
from mme_local.sagemaker.permissions import needed, needed_to_invoke

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Kind)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Needed = Callable[[Scope, str, Any], Iterable[Permission]]
"""The permissions that an operation needs, with its request parsed as far as it is JSON."""
Answers = Callable[[Scope, str, bytes], Awaitable[Answer]]

ACCOUNT = "000000000000"
REGION = "us-east-1"

# Lambda takes 50 MB of code as base64; larger bodies are S3's alone
_MAX_REQUEST = 70_000_000
# most calls are over by then, and to watch one costs as much as to answer it
_SECONDS_UNWATCHED = 0.1
# what the data plane looks at, by how it begins
_OF_CALLS = (b"content-type", b"accept", b"x-amzn-sagemaker-")

# unlike any other start; a number follows, since the randomness of a UUID takes longer than the rest of a head
_request_id_start = str(uuid.uuid4())[:24]
_request_number = itertools.count()


def environment(port: int, root: Path, credentials: Credentials, *, enforce_iam: bool = False) -> dict[str, str]:
    """What has to be in the process environment before MiniStack is imported, and what its Lambda workers inherit."""
    temporary = root / "tmp"
    return {
        "GATEWAY_PORT": str(port),
        # an address: a worker that looks up "localhost" may find ::1, where nobody listens
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "BIND_HOST": "127.0.0.1",
        # whether policies and signatures are evaluated; the access key below is the account's root's, who may do all
        "AUTH": "true" if enforce_iam else "false",
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
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


class Gateway:
    """The ASGI application: invocations go straight to the data plane, everything else to MiniStack.

    Args:
        hosting: The data plane.
        credentials: The account's, without which, or others that they made, nothing is answered.
        on_startup: Called when everything answers.
    """

    def __init__(self, hosting: Hosting, credentials: Credentials, on_startup: Callable[[], None]) -> None:
        from ministack import app
        from ministack.core import router
        from ministack.core.sigv4 import decode_header_value

        self._hosting = hosting
        self._on_startup = on_startup
        self._ministack, self._router, self._decoded = app, router, decode_header_value
        self._door = Door(credentials)
        self._iam = Iam() if self._ministack.AUTH else None
        random_credentials_for_functions(self._ministack.AUTH)
        alarms = CloudWatchAlarms(os.environ.get("AWS_ENDPOINT_URL", ""))
        self.sagemaker = SageMaker(hosting, roles=self._iam, alarms=alarms)
        self._provisioner = Provisioner(self.sagemaker, _request_scope)
        self.autoscaling = autoscaling.AutoScaling(self.sagemaker, PolicyAlarms())
        self._scaling_provisioner = autoscaling.Provisioner(self.autoscaling, _request_scope)
        self._plug_in(sagemaker.SERVICE, sagemaker.TARGET_PREFIX, needed, self.sagemaker.answer)
        self._plug_in(autoscaling.SERVICE, autoscaling.TARGET_PREFIX, autoscaling.needed, self.autoscaling.answer)
        evaluate_alarms_as_cloudwatch_does()
        do_as_cloudwatch_logs_does()
        do_as_s3_does()
        have_types_of_networks()
        tell_of_changes_only()
        show_resources(self.sagemaker, _request_scope)
        know_built_images(hosting.has_image, _request_scope)
        self._plug_in_resource_types(self._provisioner, TYPES)
        self._plug_in_resource_types(self._scaling_provisioner, autoscaling.TYPES)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or run the application's life span."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        admitted = await self._door.admit(scope, receive)
        if isinstance(admitted, tuple):
            await _send(send, *admitted)
            return
        call = runtime.call(scope["method"], scope["path"])
        limit = _MAX_REQUEST if call is None else MAX_BODY
        try:
            of_any_length = call is None and is_for_s3(scope)
            body = admitted if of_any_length else bounded(scope["headers"], admitted, limit)
            if call is None:
                await self._ministack.app(scope, body, send)
            elif (content := await _whole(body)) is not None:
                await _unless_hung_up(admitted, self._invoke(call, scope, content, send))
        except BodyTooLong:
            await _send(send, *runtime.invalid(f"Value at 'body' failed to satisfy constraint: {_shorter(limit)}"))

    async def _invoke(self, call: runtime.Call, scope: MutableMapping[str, Any], content: bytes, send: Send) -> None:
        if self._iam is not None:
            await self._ministack.app(scope, _again(content), send)
            return
        headers = {
            name.decode("latin-1"): self._decoded(value)
            for name, value in scope["headers"]
            if name.startswith(_OF_CALLS)
        }
        status, answer, body = await self._answer_call(call, headers, content)
        await _send(send, status, answer, body)

    async def _answer_call(
        self, call: runtime.Call, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        if not self.sagemaker.endpoints.invocable(call.endpoint):
            return self.sagemaker.endpoints.not_invocable(call.endpoint, ACCOUNT)
        return call.not_there() or await self._hosting.invoke(call.endpoint, headers, body)

    async def _live(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        for provisioner in (self._provisioner, self._scaling_provisioner):
            provisioner.attach(asyncio.get_running_loop())

        async def send_and_act(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await self._close()
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self.autoscaling.scaler.start()
                self._on_startup()

        await self._ministack.app(scope, receive, send_and_act)

    async def _close(self) -> None:
        await self.autoscaling.scaler.close()
        await self.sagemaker.endpoints.close()
        await self._hosting.close()
        from ministack.core import lambda_runtime

        await asyncio.to_thread(lambda_runtime.reset)

    def _plug_in(self, service: str, prefix: str, needed: Needed, answer: Answers) -> None:
        async def handle(
            method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
        ) -> tuple[int, dict[str, str], bytes]:
            scope = _request_scope()
            target = headers.get("x-amz-target", "")
            if self._iam is not None:
                # MiniStack has checked the signature; it does not know what these calls need
                key = self._router.extract_access_key_id(headers, query)
                if (call := runtime.call(method, path)) is not None:
                    return await self._answer_if_allowed(self._iam, key, scope, call, headers, body)
                if refusal := self._iam.refusal(key, scope, needed(scope, target.removeprefix(prefix), _parsed(body))):
                    return _denied(400, "message", refusal)
            return await answer(scope, target, body)

        # without it the first request looks the name up in all 400 of botocore's service models, for three seconds
        self._router.SERVICE_PATTERNS[service] = {"target_prefixes": [prefix], "host_patterns": []}
        self._ministack.SERVICE_HANDLERS[service] = handle

    async def _answer_if_allowed(
        self, iam: Iam, key: str, scope: Scope, call: runtime.Call, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        there = self.sagemaker.endpoints.scope(call.endpoint) or scope
        permission = needed_to_invoke(there, call.endpoint, headers, call.operation)
        if refusal := iam.refusal(key, scope, [permission]):
            return _denied(403, "Message", refusal)
        status, answer, content = await self._answer_call(call, headers, body)
        return status, dict(answer), content

    def _plug_in_resource_types(self, provisioner: Provisions[K], kinds: Iterable[K]) -> None:
        from ministack.services.cloudformation import provisioners, stacks

        ours = {kind.name for kind in kinds}
        for kind in kinds:
            provisioners._RESOURCE_HANDLERS[kind.name] = _resource_handlers(provisioner, kind)
            provisioners._REPLACING_PROPERTIES[kind.name] = kind.create_only
            if kind.name_property is not None:
                provisioners._CUSTOM_NAME_REPLACEMENT[kind.name] = {"name": kind.name_property}
            if kind.taggable:
                provisioners._STACK_TAG_PROPERTY[kind.name] = ("Tags", "list")
        runs_on_worker_thread = stacks._runs_on_worker_thread
        # a create waits for the endpoint, which the event loop has to bring up meanwhile
        stacks._runs_on_worker_thread = lambda name: name in ours or runs_on_worker_thread(name)


async def _whole(receive: Receive) -> bytes | None:
    """A request's body; None when the caller has hung up."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _again(content: bytes) -> Receive:
    """A way to read a body that was read before."""
    messages = [{"type": "http.request", "body": content}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _unless_hung_up(receive: Receive, work: Awaitable[None]) -> None:
    """Do the work of a request of which all was read, until the caller hangs up."""
    loop = asyncio.get_running_loop()
    working = asyncio.current_task()
    watching: list[asyncio.Task[None]] = []
    hung_up = False

    async def watch() -> None:
        nonlocal hung_up
        await receive()
        hung_up = True
        assert working is not None
        working.cancel()

    timer = loop.call_later(_SECONDS_UNWATCHED, lambda: watching.append(loop.create_task(watch())))
    try:
        await work
    except asyncio.CancelledError:
        if not hung_up:
            raise
    finally:
        timer.cancel()
        for task in watching:
            task.cancel()


def _resource_handlers(provisioner: Provisions[K], kind: K) -> dict[str, Callable[..., Any]]:
    def update(
        physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], stack_name: str
    ) -> tuple[str, dict[str, str]]:
        return provisioner.update(kind, physical_id, old, new)

    def delete(physical_id: str, properties: Mapping[str, Any]) -> None:
        provisioner.delete(kind, physical_id)

    return {"create": partial(provisioner.create, kind), "update": update, "delete": delete}


def _shorter(limit: int) -> str:
    return f"Member must have length less than or equal to {limit}"


def _denied(status: int, member: str, message: str) -> tuple[int, dict[str, str], bytes]:
    kind = "AccessDeniedException"
    headers = {"Content-Type": "application/json", "x-amzn-errortype": kind}
    return status, headers, json.dumps({"__type": kind, member: message}).encode()


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    encoded.append((b"x-amzn-requestid", f"{_request_id_start}{next(_request_number):012x}".encode()))
    encoded.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except ValueError:
        return None  # the service will say so


def _request_scope() -> Scope:
    from ministack.core import responses

    return Scope(responses.get_account_id(), responses.get_region())
