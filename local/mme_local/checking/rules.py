"""What is checked of an image, and what SageMaker does with one that fails."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_GUIDE = "https://docs.aws.amazon.com/sagemaker/latest/dg/"
_BUILD = f"{_GUIDE}build-multi-model-build-container.html"
_CONTRACT = f"{_GUIDE}mms-container-apis.html"
_HOSTING = f"{_GUIDE}your-algorithms-inference-code.html"
_PIPELINE = f"{_GUIDE}inference-pipeline-real-time.html"


class Verdict(StrEnum):
    """What came out of a check."""

    OK = "ok"
    WARNS = "warns"
    FAILS = "fails"
    NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Check:
    """One thing that SageMaker expects.

    Attributes:
        name: What is checked.
        sagemaker: What SageMaker does with a container that fails.
        page: Where AWS says what it expects.
    """

    name: str
    sagemaker: str
    page: str


@dataclass(frozen=True)
class Finding:
    """What is known of an image after a check."""

    check: Check
    verdict: Verdict
    detail: str = ""


class NotOk(Exception):
    """A check that did not pass.

    Args:
        verdict: How bad that is.
        detail: Why.
    """

    def __init__(self, verdict: Verdict, detail: str) -> None:
        super().__init__(detail)
        self.verdict = verdict


_CAN_NOT_TELL = "SageMaker can't tell which models are loaded"

MULTI_MODEL_LABEL = Check("label for many models", "SageMaker's CreateModel refuses the image", _BUILD)
PIPELINE_LABEL = Check(
    "label for pipelines",
    "SageMaker's CreateModel refuses the image beside others, in a pipeline or for direct calls",
    _PIPELINE,
)
ARCHITECTURE = Check("architecture", "SageMaker fails the endpoint on instances with other processors", _HOSTING)
USER = Check("user", "SageMaker's files and devices may be out of its reach", _HOSTING)
ENTRY_POINT = Check("entry point", "SageMaker's argument, serve, and its SIGTERM may not reach the program", _HOSTING)
START = Check("start and ping", "SageMaker fails the endpoint: it did not pass the ping health check", _HOSTING)
NOTHING_LISTED = Check("list no models", _CAN_NOT_TELL, _CONTRACT)
UNKNOWN_DESCRIBED = Check("describe an unknown model", _CAN_NOT_TELL, _CONTRACT)
UNKNOWN_UNLOADED = Check("unload an unknown model", _CAN_NOT_TELL, _CONTRACT)
UNKNOWN_INVOKED = Check("invoke an unknown model", "SageMaker's caller gets a wrong answer", _CONTRACT)
LOAD = Check("load a model", "SageMaker answers each call of the model with an error", _CONTRACT)
LOAD_TWICE = Check("load a loaded model", "SageMaker may have it in memory twice without knowing", _CONTRACT)
DESCRIBE = Check("describe a model", _CAN_NOT_TELL, _CONTRACT)
INVOKE = Check("invoke a model", "SageMaker answers the call with ModelError, status 424", _CONTRACT)
SEVERAL = Check("several models at once", "SageMaker answers calls of all but the first with errors", _CONTRACT)
PINGS = Check("ping during loads", "SageMaker may take it for broken and start it anew, without its models", _HOSTING)
LIST = Check("list models", _CAN_NOT_TELL, _CONTRACT)
UNLOAD = Check("unload a model", "SageMaker gets no room for other models", _CONTRACT)
LOAD_AGAIN = Check("load a model again", "SageMaker can't serve a model that once made room for others", _CONTRACT)
NO_MEMORY = Check(
    "507 when memory is short", "SageMaker unloads models at a 507 alone: loads fail once memory is full", _CONTRACT
)
ROOM = Check("room after unloads", "SageMaker unloads models in vain", _CONTRACT)
TERMINATION = Check("SIGTERM", "SageMaker kills it after 30 seconds, with the calls that it is answering", _HOSTING)
BIND_PORT = Check(
    "SAGEMAKER_BIND_TO_PORT", "SageMaker fails endpoints that have it in a pipeline or for direct calls", _PIPELINE
)
