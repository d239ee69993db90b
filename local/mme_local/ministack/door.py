"""Who may come in: programs that know the credentials of this start, and no web page.

MiniStack itself takes any access key, and most of its paths take none.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from mme_local.ministack.credentials import Credentials

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Answer = tuple[int, dict[str, str], bytes]
Fields = Sequence[tuple[bytes, bytes]]

_TO_PAGES = b"mme-local answers programs on this machine, not web pages; use http://127.0.0.1 or http://localhost\n"
_WAY_IN = (
    "Requests to mme-local are signed with the credentials that it printed when it started: paste its first line into"
    " the shell again."
)
_INVALID = ("InvalidRequest", "ValidationError", "ValidationException")
_NO_KEY = ("AccessDenied", "MissingAuthenticationToken", "MissingAuthenticationTokenException")
_UNKNOWN_KEY = ("InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException")
_FORM_KEY = re.compile(rb'name="(?:x-amz-credential|AWSAccessKeyId)"[^\r\n]*(?:\r\n[^\r\n]+)*\r\n\r\n([^/\r\n]+)', re.I)
# signed with version 4 or, by which S3 alone is signed, version 2
_FOR_S3 = re.compile(rb"(/|%2F)s3(-object-lambda)?\1aws4_request|^AWS |&AWSAccessKeyId=", re.I)
_FORM_HEAD = 64 * 1024
# what callers are answered to; a second line of it could say otherwise than the one that was looked at
_ONCE = (b"host", b"authorization", b"content-type", b"x-amz-date", b"x-amz-security-token", b"x-amz-target")
_ONCE_PREFIX = b"x-amzn-sagemaker-"
_TELLTALE = (b"origin", b"referer", b"sec-", b"host")


class BodyTooLong(Exception):
    """A request has a longer body than it may have."""


class Door:
    """Lets requests in or answers them.

    Args:
        own: The credentials of the account, which this start of the endpoint has printed.
    """

    def __init__(self, own: Credentials) -> None:
        from ministack.core import iam_evaluator, responses, router

        self._own = own.access_key.encode()
        self._router, self._evaluator, self._responses = router, iam_evaluator, responses

    async def admit(self, scope: Mapping[str, Any], receive: Receive) -> Answer | Receive:
        """Why the request stays outside; otherwise the way to read its body, of which some may have been read."""
        if _is_a_page(scope["headers"]):
            return 403, {"Content-Type": "text/plain"}, _TO_PAGES
        if (name := _repeated(scope["headers"])) is not None:
            return _failure(scope, 400, _INVALID, f"the header {name} is there more than once")
        if scope["path"].startswith(("/_ministack/", "/_localstack/")):
            if scope["method"] == "PUT" and self._is_awaited(scope["path"]):
                return receive
            return 404, {"Content-Type": "text/plain"}, b"not found\n"
        key = self._key(scope)
        if not key and _is_a_form(scope):
            key, receive = await _key_in_form(receive)
        if not key:
            return _failure(scope, 403, _NO_KEY, f"The request has no access key. {_WAY_IN}")
        if not self._known(key):
            return _failure(scope, 403, _UNKNOWN_KEY, f"The access key is none of this endpoint's. {_WAY_IN}")
        return receive

    def _key(self, scope: Mapping[str, Any]) -> str:
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        text = scope.get("query_string", b"").decode("latin-1")
        query = parse_qs(text, keep_blank_values=True) if text else {}
        # MiniStack's own reading, so that the key let in is the key that is used
        return str(self._router.extract_access_key_id({"authorization": authorization}, query))

    def _known(self, key: str) -> bool:
        if secrets.compare_digest(key.encode(), self._own):
            return True
        evaluator = self._evaluator
        # MiniStack takes "test" and all account numbers for root
        if evaluator.is_root_access_key(key):
            return False
        try:
            account = self._responses._account_from_sts_session(key) or evaluator.find_iam_access_key_account(key)
        except evaluator.AmbiguousAccessKeyError:
            return False
        return account is not None and isinstance(
            evaluator.resolve_credential(key, account), evaluator.ResolvedCredential
        )

    def _is_awaited(self, path: str) -> bool:
        """Whether CloudFormation waits for this answer of a custom resource, or signal, whose address is random."""
        from ministack.services.cloudformation import custom_resource, wait_conditions

        place, _, token = path.removeprefix("/_ministack/").partition("/")
        if place == "cfn-response":
            return token in custom_resource._pending
        if place == "cfn-signal":
            return bool(wait_conditions.has_handle(token))
        return False


def bounded(headers: Fields, receive: Receive, limit: int) -> Receive:
    """A way to read a body that raises ``BodyTooLong`` once it is, or says that it will be, longer than this."""
    left = limit
    said = int(dict(headers).get(b"content-length", b"0"))

    async def read() -> Message:
        nonlocal left
        if said > limit:
            raise BodyTooLong
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise BodyTooLong
        return message

    return read


def is_for_s3(scope: Mapping[str, Any]) -> bool:
    """Whether the request is signed for S3, whose objects may be of any size."""
    said = dict(scope["headers"]).get(b"authorization", b"") + b"&" + scope.get("query_string", b"")
    return _FOR_S3.search(said) is not None or _is_a_form(scope)


def _is_a_page(headers: Fields) -> bool:
    """Whether a browser may have sent it, at the bidding of a page or of somebody's link.

    Browsers say so in ``Sec-Fetch-*`` and name the page in ``Origin`` and ``Referer``; a page whose own name was made
    to point to 127.0.0.1 gives itself away as the host. Node's ``fetch`` sends one of these fields, too, in one form.
    """
    for name, value in headers:
        if not name.startswith(_TELLTALE):
            continue
        if name in (b"origin", b"referer"):
            return True
        if name.startswith(b"sec-") and (name, value) != (b"sec-fetch-mode", b"cors"):
            return True
        if name == b"host":
            host, _, _ = value.decode("latin-1").lower().partition(":")
            if host not in ("127.0.0.1", "localhost") and not host.endswith((".localhost", ".127.0.0.1")):
                return True
    return False


def _repeated(headers: Fields) -> str | None:
    if len(dict(headers)) == len(headers):
        return None
    seen = set()
    for name, _ in headers:
        if name in _ONCE or name.startswith(_ONCE_PREFIX):
            if name in seen:
                return name.decode("latin-1")
            seen.add(name)
    return None


def _is_a_form(scope: Mapping[str, Any]) -> bool:
    return scope["method"] == "POST" and any(
        name == b"content-type" and value.lower().startswith(b"multipart/form-data") for name, value in scope["headers"]
    )


async def _key_in_form(receive: Receive) -> tuple[str, Receive]:
    """The access key of an upload by a form of S3, which comes before its file; and the way to read all of the body."""
    read: list[Message] = []
    head = b""
    found = None
    while found is None and len(head) < _FORM_HEAD:
        message = await receive()
        read.append(message)
        head += message.get("body", b"")
        found = _FORM_KEY.search(head[:_FORM_HEAD])
        if not message.get("more_body", False):
            break

    async def again() -> Message:
        return read.pop(0) if read else await receive()

    return found[1].decode("latin-1") if found is not None else "", again


def _failure(scope: Mapping[str, Any], status: int, errors: tuple[str, str, str], message: str) -> Answer:
    """An error as the clients of S3, of the query protocol and of all others read it, under these names."""
    headers = dict(scope["headers"])
    if is_for_s3(scope):
        body = f"<Error><Code>{errors[0]}</Code><Message>{escape(message)}</Message></Error>"
    elif scope["path"] == "/" and b"x-amz-target" not in headers:
        text = f"<Type>Sender</Type><Code>{errors[1]}</Code><Message>{escape(message)}</Message>"
        body = f"<ErrorResponse><Error>{text}</Error></ErrorResponse>"
    else:
        body = json.dumps({"__type": errors[2], "message": message})
        return status, {"Content-Type": "application/json", "x-amzn-errortype": errors[2]}, body.encode()
    return status, {"Content-Type": "text/xml"}, body.encode()
