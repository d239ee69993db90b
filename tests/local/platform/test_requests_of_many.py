"""What an endpoint over many models asks S3 for: counted, not timed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mme_local.hosting import loopback

from .conftest import Endpoints, pack

MODELS = 1500


async def test_a_call_gets_its_own_model_of_many_and_lists_nothing(
    at: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[tuple[str, str]] = []
    make = loopback.client

    def client(*arguments: Any, **options: Any) -> Any:
        made = make(*arguments, **options)
        made.meta.events.register("before-send.s3", lambda request, **_: requests.append((request.method, request.url)))
        return made

    monkeypatch.setattr(loopback, "client", client)
    archive = pack({"model": b"m"})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: at.bucket.put(f"models/model-{number}.tar.gz", archive), range(MODELS)))
    await at.hosting.deploy(at.spec())
    for _ in range(2):
        assert (await at.invoke("model-1234.tar.gz"))[0] == 200
    ((method, url),) = requests
    assert method == "GET"
    assert url.endswith(f"/{at.bucket.name}/models/model-1234.tar.gz")
