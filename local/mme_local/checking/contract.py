"""The contract for containers with many models, call by call.

https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from mme_local.checking import rules
from mme_local.checking.calls import Answer, Calls, Model, NoAnswer, Payload
from mme_local.checking.models import Models
from mme_local.checking.rules import Check, NotOk, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Step = Callable[[], Awaitable[str]]
Call = Callable[[Model], Awaitable[Answer]]

_AT_ONCE = 3
_MOST_LOADS = 50
_LEFTOVER_SECONDS = 5.0
_PING_INTERVAL = 0.05


class Contract:
    """Checks of a running container, in an order in which each needs but what those before it left behind.

    Args:
        calls: Reach the container.
        models: To load.
        payload: To call them with.
        memory: MiB that the container has; None when that is not limited.
    """

    def __init__(self, calls: Calls, models: Models, payload: Payload | None, memory: int | None) -> None:
        self._calls = calls
        self._models = models
        self._payload = payload
        self._memory = memory
        self._loaded: list[Model] = []
        self._unloaded: Model | None = None
        self._right_of_unknown: dict[str, Call] = {}
        self._lists = False
        self._first_call = 404
        self._refused: Model | None = None
        self._pings: list[float] = []
        self._failed_pings: list[str] = []
        self._longest_load = 0.0

    def steps(self) -> list[tuple[Check, Step]]:
        """The checks: each returns what is worth saying, or raises ``NotOk``."""
        return [
            (rules.NOTHING_LISTED, self._nothing_listed),
            (rules.UNKNOWN_DESCRIBED, lambda: self._unknown("a description", self._calls.describe)),
            (rules.UNKNOWN_UNLOADED, lambda: self._unknown("an unload", self._calls.unload)),
            (rules.UNKNOWN_INVOKED, lambda: self._unknown("a call", self._invoked)),
            (rules.LOAD, self._first_load),
            (rules.LOAD_TWICE, self._load_twice),
            (rules.DESCRIBE, self._describe),
            (rules.INVOKE, self._invoke),
            (rules.SEVERAL, self._several),
            (rules.PINGS, self._pings_answered),
            (rules.LIST, self._list),
            (rules.UNLOAD, self._unload),
            (rules.LOAD_AGAIN, self._load_again),
            (rules.NO_MEMORY, self._no_memory),
            (rules.ROOM, self._room),
        ]

    # The checks

    async def _nothing_listed(self) -> str:
        listed, _ = await self._listed()
        if listed:
            raise NotOk(Verdict.FAILS, f"lists {', '.join(listed)}")
        return ""

    async def _unknown(self, what: str, call: Call) -> str:
        _expect(await call(self._models.new()), 404)
        self._right_of_unknown[what] = call
        return ""

    async def _first_load(self) -> str:
        model = self._models.new()
        answer = await self._load(model)
        if answer.status == 200:
            self._loaded.append(model)
            return f"in {self._longest_load:.1f} s"
        if self._models.made_up:
            raise NotOk(Verdict.NOT_TESTED, f"it answered {answer} to a made-up model: give one of yours with --model")
        if answer.status == 507 and self._memory is not None:
            raise NotOk(Verdict.NOT_TESTED, f"it answered 507 with {self._memory} MiB: give more --memory")
        raise NotOk(Verdict.FAILS, f"answered {answer}, must be 200")

    async def _load_twice(self) -> str:
        _expect(await self._calls.load(self._a_loaded_model()), 409)
        return ""

    async def _describe(self) -> str:
        model = self._a_loaded_model()
        answer = await self._calls.describe(model)
        _expect(answer, 200)
        entry = answer.json()
        if not isinstance(entry, dict) or entry.get("modelName") != model.name:
            raise NotOk(Verdict.FAILS, f"answered {answer}, must have modelName and modelUrl of the load")
        if entry.get("modelUrl") != model.url:
            raise NotOk(Verdict.WARNS, f"answered {answer}, must have the modelUrl of the load")
        return ""

    async def _invoke(self) -> str:
        answer = await self._invoked(self._a_loaded_model())
        self._first_call = answer.status
        if answer.status >= 300 and (answer.status == 404 or self._payload is not None):
            raise NotOk(Verdict.FAILS, f"answered {answer} to a call of a loaded model")
        if answer.status >= 300:
            raise NotOk(Verdict.NOT_TESTED, f"it answered {answer} to an empty body: give one of yours with --payload")
        return f"{answer.status} and {len(answer.body)} bytes"

    async def _several(self) -> str:
        self._a_loaded_model()
        while len(self._loaded) < _AT_ONCE and self._refused is None:
            await self._load_another()
        if len(self._loaded) == 1:
            raise NotOk(Verdict.NOT_TESTED, "it answered 507 to the second: give more --memory, or smaller models")
        answers = {model: await self._invoked(model) for model in self._loaded}
        self._loaded = [model for model, answer in answers.items() if not self._is_gone(answer)]
        for number, answer in enumerate(answers.values(), 1):
            if self._is_wrong(answer):
                raise NotOk(Verdict.FAILS, f"answered {answer} to a call of loaded model {number} of {len(answers)}")
        return f"{len(answers)} at a time"

    async def _pings_answered(self) -> str:
        self._a_loaded_model()
        if self._failed_pings:
            raise NotOk(Verdict.FAILS, self._failed_pings[0])
        return f"within {max(self._pings):.2f} s, while a load took up to {self._longest_load:.2f} s"

    async def _list(self) -> str:
        self._a_loaded_model()
        listed, pages = await self._listed()
        in_pages = f"in {pages} {'page' if pages == 1 else 'pages'}"
        if missing := [model for model in self._loaded if model.name not in listed]:
            raise NotOk(Verdict.FAILS, f"{len(missing)} of {len(self._loaded)} loaded models are missing, {in_pages}")
        self._lists = True
        if strange := [name for name in listed if name not in {model.name for model in self._loaded}]:
            raise NotOk(Verdict.WARNS, f"lists {', '.join(map(repr, strange))}, too, which was not loaded")
        if wrong := [model for model in self._loaded if listed[model.name] != model.url]:
            raise NotOk(
                Verdict.WARNS, f"has the modelUrl {listed[wrong[0].name]!r} of a model, must be {wrong[0].url!r}"
            )
        return f"{len(listed)} models {in_pages}"

    async def _unload(self) -> str:
        model = self._a_loaded_model()
        _expect(await self._calls.unload(model), 200)
        self._loaded.remove(model)
        for what, call in self._right_of_unknown.items():
            _expect(await call(model), 404, f"{what} afterwards")
        self._unloaded = model
        if self._lists and model.name in (await self._listed())[0]:
            raise NotOk(Verdict.FAILS, "lists the model afterwards")
        for other in self._loaded:
            _expect(await self._calls.describe(other), 200, "a description of another model afterwards")
        return ""

    async def _load_again(self) -> str:
        if self._unloaded is None:
            raise NotOk(Verdict.NOT_TESTED, "no model was unloaded")
        _expect(await self._load(self._unloaded), 200)
        self._loaded.append(self._unloaded)
        answer = await self._invoked(self._unloaded)
        if self._is_wrong(answer):
            raise NotOk(Verdict.FAILS, f"answered {answer} to a call of the model")
        return ""

    async def _no_memory(self) -> str:
        self._a_loaded_model()
        if self._memory is None and self._refused is None:
            raise NotOk(Verdict.NOT_TESTED, "give --memory MIB: less than all models need, and enough for one")
        while self._refused is None and len(self._loaded) < _MOST_LOADS:
            await self._load_another()
        if self._refused is None:
            fit = f"{len(self._loaded)} models fit in {self._memory} MiB"
            raise NotOk(Verdict.NOT_TESTED, f"{fit}: give bigger ones with --model, or less --memory")
        return f"to model {len(self._loaded) + 1}"

    async def _room(self) -> str:
        if self._refused is None:
            raise NotOk(Verdict.NOT_TESTED, "it never answered 507")
        for number, model in enumerate(tuple(self._loaded), 1):
            _expect(await self._calls.unload(model), 200, "an unload")
            answer = await self._load_refused(self._refused)
            if answer.status == 200:
                return f"for the model that did not fit, after {number}"
            if answer.status != 507:
                raise NotOk(Verdict.FAILS, f"answered {answer} to the model that did not fit, after {number}")
        raise NotOk(Verdict.FAILS, "answers 507 to the model that did not fit, with all others unloaded")

    # What they share

    def _a_loaded_model(self) -> Model:
        if not self._loaded:
            raise NotOk(Verdict.NOT_TESTED, "no model is loaded")
        return self._loaded[0]

    async def _listed(self) -> tuple[dict[str, object], int]:
        """The URLs of what is listed, by name, and in how many pages."""
        urls: dict[str, object] = {}
        tokens: list[str | None] = [None]
        while True:
            answer = await self._calls.list(tokens[-1])
            _expect(answer, 200)
            page = answer.json()
            entries = page.get("models") if isinstance(page, dict) else None
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                wanted = '{"models": [{"modelName": …, "modelUrl": …}, …]}'
                raise NotOk(Verdict.FAILS, f"answered {answer}, must be {wanted}")
            urls.update((str(entry.get("modelName")), entry.get("modelUrl")) for entry in entries)
            token = page.get("nextPageToken")
            if token is None:
                return urls, len(tokens)
            if str(token) in tokens:
                raise NotOk(Verdict.FAILS, f"answers next_page_token={token} with the nextPageToken {token} again")
            tokens.append(str(token))

    async def _invoked(self, model: Model) -> Answer:
        return await self._calls.invoke(model, self._payload or Payload(b"", "application/octet-stream"))

    def _is_wrong(self, answer: Answer) -> bool:
        """Whether a call of a loaded model went worse than the first one."""
        return self._is_gone(answer) or answer.status >= 300 > self._first_call

    def _is_gone(self, answer: Answer) -> bool:
        return answer.status == 404 != self._first_call

    async def _load(self, model: Model) -> Answer:
        """Load a model, and see meanwhile whether pings are answered."""
        started = time.monotonic()
        async with self._pinging():
            answer = await self._calls.load(model)
            self._longest_load = max(self._longest_load, time.monotonic() - started)
        return answer

    @asynccontextmanager
    async def _pinging(self) -> AsyncIterator[None]:
        done = asyncio.Event()
        pings = asyncio.create_task(self._ping_until(done))
        try:
            yield
            done.set()
            await pings
        finally:
            pings.cancel()

    async def _ping_until(self, done: asyncio.Event) -> None:
        while not done.is_set():
            started = time.monotonic()
            try:
                answer = await self._calls.ping()
            except NoAnswer as error:
                self._failed_pings.append(str(error))
                return
            self._pings.append(time.monotonic() - started)
            if answer.status != 200:
                self._failed_pings.append(f"answered {answer}, must be 200")
            with suppress(TimeoutError):
                async with asyncio.timeout(_PING_INTERVAL):
                    await done.wait()

    async def _load_another(self) -> None:
        """Load one more model, which may be refused for want of memory."""
        model = self._models.new()
        answer = await self._load(model)
        if answer.status == 200:
            self._loaded.append(model)
        elif answer.status == 507:
            self._refused = model
        else:
            raise NotOk(Verdict.FAILS, f"answered {answer} to model {len(self._loaded) + 1}, must be 200 or 507")

    async def _load_refused(self, model: Model) -> Answer:
        """Load what was refused; Multi Model Server keeps it registered until it is deleted, and then for a moment."""
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        while True:
            answer = await self._calls.load(model)
            if answer.status != 409 or time.monotonic() > deadline:
                return answer
            await self._calls.unload(model)
            await asyncio.sleep(_LEFTOVER_SECONDS / 50)


def _expect(answer: Answer, status: int, what: str = "") -> None:
    if answer.status != status:
        raise NotOk(Verdict.FAILS, f"answered {answer}{what and f' to {what}'}, must be {status}")
