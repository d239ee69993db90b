"""The client."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from multi_model_endpoint.aliases import Aliases, is_target_model
from multi_model_endpoint.store_url import StoreUrl

from .call_log import LOGGER, Entry, logged
from .deadlines import Call, calling
from .resolving import Resolver
from .retries import Retries

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime.client import SageMakerRuntimeClient

DEFAULT_TIMEOUT = 360.0
"""Seconds for which SageMaker goes on loading a model that its first caller has waited for in vain."""

# AWS says 70, for invocations may take 60
_READ_SECONDS = 70.0
_READ_SECONDS_OF_S3 = 5.0
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=256)


@dataclass(frozen=True)
class Answer:
    """What a model has answered.

    Attributes:
        body: Its bytes, all of them.
        content_type: Their type, if the container says so.
        target_model: The model that answered.
        variant: The production variant that did.
        custom_attributes: What the container says beside it.
    """

    body: bytes
    content_type: str | None
    target_model: str
    variant: str | None
    custom_attributes: str | None


class MultiModelClient:
    """Calls the models of a SageMaker multi-model endpoint, and waits for those that are being loaded.

    A model that is not in memory is loaded by its first call, which SageMaker answers with ``ModelNotReadyException``
    after 60 seconds while it goes on loading, and which boto3 does not send again by default. This client does, as it
    does after throttling, while an endpoint is updated or has lost an instance, and after broken connections: with
    growing, random pauses until the call's ``timeout`` is over. What is the caller's fault it raises at once.
    docs/client.md has all of it as a table.

    Threads may share it, and had better: it keeps connections, and remembers what aliases name.

    Example:
        ```python
        client = MultiModelClient("scoring", models="s3://my-bucket/models/")
        answer = client.invoke("churn@prod", b"3,95.5,5", content_type="text/csv")
        ```

    Args:
        endpoint_name: The endpoint.
        models: The S3 prefix of its models, which has their aliases, too. Left out, only target models can be called.
        timeout: Seconds that a call may take with all its attempts, unless it says otherwise. Default: 360, for which
            SageMaker goes on loading a model.
        alias_ttl: Seconds after which an alias is looked up again: as long may a moved one be called as it was.
        call_log: Whether to write a line of JSON for each call, to the logger ``multi_model_endpoint.calls`` at level
            INFO.
        session: What has the credentials and the region. Left out, they are found as boto3 finds them, so with the
            variables that ``mme serve`` prints it calls the local endpoint.

    Attributes:
        boto3_client: The client of ``sagemaker-runtime`` that it calls with, which retries and waits in the same way.
            It reads an answer's body before it returns it.

    Raises:
        ValueError: If ``models`` is no S3 prefix or ``timeout`` not above 0.

    See https://docs.aws.amazon.com/sagemaker/latest/dg/invoke-multi-model-endpoint.html
    """

    boto3_client: SageMakerRuntimeClient

    def __init__(
        self,
        endpoint_name: str,
        *,
        models: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        alias_ttl: float = 10.0,
        call_log: bool = False,
        session: boto3.session.Session | None = None,
    ) -> None:
        self.endpoint_name = endpoint_name
        self._timeout = _checked(timeout)
        self._log = logging.getLogger(LOGGER) if call_log else None
        session = session or boto3.session.Session()
        self.boto3_client = session.client("sagemaker-runtime", config=_CONFIG)
        Retries(self.boto3_client, timeout, read=_READ_SECONDS)
        self._aliases: Resolver | None = None
        if models is not None:
            s3 = session.client("s3", config=_CONFIG)
            Retries(s3, timeout, read=_READ_SECONDS_OF_S3)
            self._aliases = Resolver(Aliases(s3, _store(models)), alias_ttl)

    def invoke(
        self,
        model: str,
        body: bytes,
        *,
        content_type: str | None = None,
        accept: str | None = None,
        variant: str | None = None,
        custom_attributes: str | None = None,
        inference_id: str | None = None,
        timeout: float | None = None,
        idempotent: bool = True,
    ) -> Answer:
        """Call a model.

        Args:
            model: A target model, which ends in ``.tar.gz``, or an alias.
            body: What the model gets; 25 MB at most.
            content_type: The type of the body. Left out, the container decides.
            accept: The type of answer that is wanted. Left out, the container decides.
            variant: The production variant to call. Left out, SageMaker chooses by weight.
            custom_attributes: What the container gets beside the body, at most 1,024 ASCII characters.
            inference_id: What to call the request in captured data.
            timeout: Seconds that the call may take, with all its attempts. Left out, that of the client.
            idempotent: Whether the call may be executed twice. A prediction may, so it is sent again when its answer
                got lost; with False only what was surely not executed is.

        Raises:
            botocore.exceptions.ClientError: What the last attempt was answered with. ``response["Error"]["Code"]`` is
                its code, ``response["ResponseMetadata"]["RetryAttempts"]`` says how many came before it.
            botocore.exceptions.BotoCoreError: Why the last attempt got no answer, such as ``ReadTimeoutError`` at the
                end of the time; ``UnknownAliasError`` if there is no such alias.
            ValueError: If it is neither a target model nor an alias, or ``timeout`` is not above 0.
        """
        call = Call(self._timeout if timeout is None else _checked(timeout), idempotent=idempotent)
        alias = None if is_target_model(model) else model
        entry = Entry(self.endpoint_name, alias, model if alias is None else None, variant)
        options = {
            "ContentType": content_type,
            "Accept": accept,
            "TargetVariant": variant,
            "CustomAttributes": custom_attributes,
            "InferenceId": inference_id,
        }
        request = {"Body": body} | {name: value for name, value in options.items() if value is not None}
        with logged(entry, call, self._log), calling(call):
            if alias is None:
                return self._send(model, request, call, entry)
            return self._send_to_alias(alias, request, call, entry)

    def _send_to_alias(self, alias: str, request: dict[str, Any], call: Call, entry: Entry) -> Answer:
        if self._aliases is None:
            raise ValueError(
                f"model must be a target model, which ends in '.tar.gz', got {alias!r}:"
                " for aliases give the client models='s3://bucket/prefix/'"
            )
        target_model = self._aliases.resolve(alias, call)
        try:
            return self._send(target_model, request, call, entry)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            # Maybe the alias was moved, and what it named removed
            self._aliases.doubt(alias, target_model)
            moved_to = self._aliases.resolve(alias, call)
            if moved_to == target_model:
                raise
        return self._send(moved_to, request, call, entry)

    def _send(self, target_model: str, request: dict[str, Any], call: Call, entry: Entry) -> Answer:
        entry.target_model = target_model
        try:
            answer = self.boto3_client.invoke_endpoint(
                EndpointName=self.endpoint_name, TargetModel=target_model, **request
            )
        except (BotoCoreError, ClientError) as error:
            error.add_note(f"{call.attempts} attempts in {call.seconds:.1f} of {call.timeout:g} seconds")
            raise
        entry.status = 200
        entry.variant = answer.get("InvokedProductionVariant", entry.variant)
        return Answer(
            answer["Body"].read(),
            answer.get("ContentType"),
            target_model,
            answer.get("InvokedProductionVariant"),
            answer.get("CustomAttributes"),
        )


def _checked(timeout: float) -> float:
    if timeout <= 0:
        raise ValueError(f"timeout must be above 0 seconds, got {timeout}")
    return timeout


def _store(models: str) -> StoreUrl:
    try:
        return StoreUrl.parse(models)
    except ValueError as error:
        raise ValueError(f"models {error}") from None
