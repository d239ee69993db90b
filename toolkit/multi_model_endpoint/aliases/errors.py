"""What can be wrong with an alias, as botocore's errors, so that one ``except`` is enough."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError


class UnknownAliasError(BotoCoreError):
    """A store has no such alias."""

    fmt = "there is no alias {alias!r} in {store}: set it, or name a target model of the store, which ends in '.tar.gz'"


class InvalidAliasError(BotoCoreError):
    """What is in the place of an alias names no target model."""

    fmt = "alias {alias!r} in {store} is not valid: {problem}"


class AliasMovedError(BotoCoreError):
    """Somebody else has set, moved or deleted an alias since it was read."""

    fmt = "alias {alias!r} in {store} was changed by somebody else meanwhile: look at it, and try again"


class NoEarlierModelError(BotoCoreError):
    """An alias that can't go back."""

    fmt = (
        "alias {alias!r} in {store} has named no other model, or the bucket has kept no version that says so: set it "
        "to the model that it shall name"
    )
