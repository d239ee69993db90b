"""What aliases name, remembered for some seconds and fetched once for all threads."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from time import monotonic

from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from multi_model_endpoint.aliases import Aliases

from .deadlines import Call, calling
from .rules import Failure, failure_in, failure_of

_log = logging.getLogger(__name__)

_REFRESH_SECONDS = 2.0
"""Longest that a call waits for what it knows already, should S3 fail."""


@dataclass(frozen=True)
class _Known:
    target_model: str
    until: float
    doubted: bool = False


class Resolver:
    """Looks up aliases.

    One thread at a time fetches an alias. The others wait for it, or take what they know as long as they know
    something; so they do when S3 fails.

    Args:
        aliases: Where they are.
        ttl: Seconds for which what was fetched is taken as true.
    """

    def __init__(self, aliases: Aliases, ttl: float) -> None:
        self._aliases = aliases
        self._ttl = ttl
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._fetches: dict[str, Future[str]] = {}

    def resolve(self, name: str, call: Call) -> str:
        """The target model of an alias.

        Raises:
            ValueError: If no alias can be called so.
            botocore.exceptions.BotoCoreError: If there is none, or it can't be fetched in the time of the call.
            botocore.exceptions.ClientError: If S3 refuses it.
        """
        while True:
            with self._lock:
                known = self._known.get(name)
                if known is not None and not known.doubted and monotonic() < known.until:
                    return known.target_model
                running = self._fetches.get(name)
                if running is None:
                    own = self._fetches[name] = Future()
            if running is None:
                return self._fetch(name, own, known, call)
            if known is not None and not known.doubted:
                return known.target_model
            try:
                return running.result(call.left)
            except TimeoutError:
                raise ReadTimeoutError(endpoint_url=self._aliases.url(name)) from None
            except (BotoCoreError, ClientError) as error:
                if call.over or not _passes(error):
                    raise
            except CancelledError:
                pass
            # Whoever looked it up had less time, or was interrupted

    def doubt(self, name: str, target_model: str) -> None:
        """Have everybody wait until an alias is fetched anew that is still known to name this model."""
        with self._lock:
            known = self._known.get(name)
            if known is not None and known.target_model == target_model:
                self._known[name] = replace(known, doubted=True)

    def _fetch(self, name: str, result: Future[str], known: _Known | None, call: Call) -> str:
        try:
            target_model = self._look_up(name, known, call)
        except BaseException as error:
            with self._lock:
                self._known.pop(name, None)
                del self._fetches[name]
            if isinstance(error, Exception):
                result.set_exception(error)
            else:
                result.cancel()
            raise
        with self._lock:
            self._known[name] = _Known(target_model, monotonic() + self._ttl)
            del self._fetches[name]
        result.set_result(target_model)
        return target_model

    def _look_up(self, name: str, known: _Known | None, call: Call) -> str:
        seconds = call.left if known is None else min(call.left / 2, _REFRESH_SECONDS)
        try:
            with calling(Call(seconds, idempotent=True)):
                return self._aliases.get(name).target_model
        except (BotoCoreError, ClientError) as error:
            if known is None or not _passes(error):
                raise
            _log.warning("alias %s can't be looked up, so it goes on to be %s: %s", name, known.target_model, error)
            return known.target_model


def _passes(error: BotoCoreError | ClientError) -> bool:
    """Whether it is S3 that fails, rather than the alias not being there, or not for this caller."""
    if isinstance(error, ClientError):
        failure = failure_in(error.response["ResponseMetadata"]["HTTPStatusCode"], error.response)
    else:
        failure = failure_of(error)
    return failure is not Failure.FINAL
