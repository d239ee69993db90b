"""SageMaker's resources in the Resource Groups Tagging API, which MiniStack answers for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mme_local.aws.scope import Scope
from mme_local.aws.tags import tag_list
from mme_local.sagemaker import SageMaker, ValidationError
from mme_local.sagemaker.records import RECORD_TYPES


def show_resources(sagemaker: SageMaker, scope: Callable[[], Scope]) -> None:
    """Let GetResources find models, configurations and endpoints by their tags, and TagResources change these.

    Args:
        sagemaker: Whose resources they are.
        scope: The account and region of the present request.
    """
    from ministack.services import tagging

    def collect() -> Iterator[tuple[str, list[dict[str, str]]]]:
        region = sagemaker.region(scope())
        for record_type in RECORD_TYPES:
            for record in region.shelf(record_type):
                if record.tags:  # what never had a tag is not known there
                    yield record.arn, tag_list(record.tags)

    def change(operation: str, arn: str, **members: Any) -> None:
        try:
            sagemaker.call(scope(), operation, {"ResourceArn": arn, **members})
        except ValidationError as error:
            raise tagging._ResourceNotFound(arn) from error

    def write(_: Any, arn: str, tags: Mapping[str, str]) -> None:
        change("AddTags", arn, Tags=tag_list(tags))

    def remove(_: Any, arn: str, keys: Sequence[str]) -> None:
        change("DeleteTags", arn, TagKeys=list(keys))

    tagging._COLLECTORS["sagemaker"] = collect
    tagging._WRITERS["sagemaker"] = write
    tagging._REMOVERS["sagemaker"] = remove
