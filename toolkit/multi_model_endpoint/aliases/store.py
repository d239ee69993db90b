"""The aliases of a store, in its bucket."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from multi_model_endpoint.artifacts.alias_names import FOLDER, check_alias, check_target_model
from multi_model_endpoint.store_url import StoreUrl

from .errors import AliasMovedError, InvalidAliasError, UnknownAliasError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

_MISSING = {"NoSuchKey", "404"}
_LOST = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409", *_MISSING}


@dataclass(frozen=True)
class Alias:
    """What an alias names.

    Attributes:
        name: Such as ``churn@prod``.
        target_model: The model it names, relative to the store's prefix.
        etag: Of the object, to move the alias only from here.
        version_id: Of the object; None where the bucket keeps no versions.
    """

    name: str
    target_model: str
    etag: str
    version_id: str | None


class Aliases:
    """Stable names for models that are named by their content.

    An alias is the object ``<prefix>.aliases/<alias>`` with the name of one target model as its text, in UTF-8. What is
    in the object is all there is, so anything that writes S3 objects can set one; blanks and line ends around the name
    are ignored. The bucket's versions are its history.

    Args:
        client: S3.
        store: The prefix of the models.
    """

    def __init__(self, client: S3Client, store: StoreUrl) -> None:
        self._client = client
        self._store = store

    def key(self, name: str) -> str:
        """The key of an alias's object.

        Raises:
            ValueError: If no alias can be called so.
        """
        check_alias(name)
        return f"{self._store.prefix}{FOLDER}{name}"

    def url(self, name: str) -> str:
        """The address of an alias's object."""
        return f"s3://{self._store.bucket}/{self.key(name)}"

    def get(self, name: str) -> Alias:
        """What an alias names now.

        Takes ``s3:GetObject`` on its key. Without ``s3:ListBucket`` on it S3 says ``AccessDenied`` of an alias that is
        not there.

        Raises:
            ValueError: If no alias can be called so.
            UnknownAliasError: If there is none.
            InvalidAliasError: If its object does not name a target model.
            botocore.exceptions.ClientError: Whatever else S3 answers.
        """
        try:
            answer = self._client.get_object(Bucket=self._store.bucket, Key=self.key(name))
        except ClientError as error:
            if _code(error) in _MISSING:
                raise UnknownAliasError(alias=name, store=self._store) from None
            raise
        target_model = named_in(answer)
        try:
            check_target_model(target_model)
        except ValueError as error:
            raise InvalidAliasError(alias=name, store=self._store, problem=error) from None
        return _alias(name, target_model, answer)

    def set(self, name: str, target_model: str, *, replaces: Alias | None) -> Alias:
        """Set a new alias, or move one that was read, unless somebody else has changed it meanwhile.

        Takes ``s3:PutObject`` on its key. The model is not looked for.

        Args:
            name: The alias.
            target_model: What it is to name.
            replaces: What it named when it was read; None for one that is not to be there yet.

        Raises:
            ValueError: If no alias or no model of a store can be called so.
            AliasMovedError: If somebody else was faster.
            botocore.exceptions.ClientError: Whatever else S3 answers.
        """
        check_target_model(target_model)
        condition: Any = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces.etag}
        try:
            answer = self._client.put_object(
                Bucket=self._store.bucket,
                Key=self.key(name),
                Body=target_model.encode(),
                ContentType="text/plain; charset=utf-8",
                **condition,
            )
        except ClientError as error:
            if _code(error) in _LOST:
                raise AliasMovedError(alias=name, store=self._store) from None
            raise
        return _alias(name, target_model, answer)

    def move(self, name: str, target_model: str) -> Alias | None:
        """Let an alias name a model, whether it is there yet or not, and return what it named before.

        It raises what ``get`` and ``set`` raise.
        """
        before: Alias | None = None
        with suppress(UnknownAliasError):
            before = self.get(name)
        if before is None or before.target_model != target_model:
            self.set(name, target_model, replaces=before)
        return before


def named_in(answer: GetObjectOutputTypeDef) -> str:
    """What an alias's object names."""
    with answer["Body"] as body:
        return body.read().decode(errors="replace").strip()


def _alias(name: str, target_model: str, answer: Any) -> Alias:
    return Alias(name, target_model, answer["ETag"], answer.get("VersionId"))


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
