"""Each model's first call, before the ramp: what is wrong with a payload shows here, and the steps begin warm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from botocore.exceptions import BotoCoreError, ClientError

from multi_model_endpoint.calling import MultiModelClient
from multi_model_endpoint.traffic import Payload

from .recording import Cell

_AT_ONCE = 4


class FirstCallError(Exception):
    """A model that does not answer."""


def warm_up(
    client: MultiModelClient, models: Sequence[str], payloads: Mapping[str, Payload], variant: str | None
) -> dict[str, Cell]:
    """Call each model once, the last first, so that the most popular are the most recently used.

    Raises:
        FirstCallError: If a model does not answer; with the client's error as its cause.
    """

    def call(model: str) -> Cell:
        began = monotonic()
        payload = payloads[model]
        try:
            client.invoke(model, payload.body, content_type=payload.content_type, variant=variant)
        except (BotoCoreError, ClientError) as error:
            raise FirstCallError(f"the first call of {model!r} failed: {error}") from error
        cell = Cell(1)
        cell.latencies.add(monotonic() - began)
        return cell

    order = list(reversed(models))
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        return dict(zip(order, pool.map(call, order), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)
