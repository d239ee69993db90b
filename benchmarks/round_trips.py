"""The counter of calls from Python to the CDK, which runs in a process of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from jsii._kernel.providers.process import _NodeProcess

READS = {"Get", "StaticGet"}


@contextmanager
def round_trips() -> Iterator[Counter[str]]:
    """Count the messages to jsii's process, by kind; Python waits for the answer to each.

    All of them, also the ``READS`` of properties, which cost as much as the calls: of a bare endpoint there were 60,
    and 38 without the reads. What a process does once, such as loading the CDK or reading its constants, is in the
    count of whoever is first: make another stack before. What the endpoints of a stack share is in that of its first.
    """
    counted: Counter[str] = Counter()
    send = _NodeProcess.send

    def counting(process: _NodeProcess, request: Any, response_type: Any) -> Any:
        counted[type(request).__name__.strip("_").removesuffix("Request")] += 1
        return send(process, request, response_type)

    with patch.object(_NodeProcess, "send", counting):
        yield counted
