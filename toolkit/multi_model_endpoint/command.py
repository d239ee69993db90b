"""The ``mme`` command."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

import click

from .load.command import load
from .publishing import push
from .sizing import size
from .stores import alias, ls, prune

_INSTALLED = "multi_model_endpoint.commands"


class _Commands(click.Group):
    """Commands that other installed packages bring, each loaded when it is asked for, and our own."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        for found in entry_points(group=_INSTALLED, name=name):
            return cast(click.Command, found.load())
        return super().get_command(context, name)


@click.group(cls=_Commands)
@click.version_option(package_name="multi-model-endpoint")
def mme() -> None:
    """SageMaker multi-model endpoints, before and after their deployment."""


for _command in (alias, load, ls, prune, push, size):
    mme.add_command(_command)


def _missing(name: str, help_text: str) -> None:
    @mme.command(name, help=help_text, context_settings={"ignore_unknown_options": True}, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def missing(arguments: tuple[str, ...]) -> None:
        raise click.ClickException(
            f"{name} needs the local endpoint: pip install 'multi-model-endpoint[local]' brings it"
        )


_missing("check-image", 'Hold an image against SageMaker\'s contract for many models; comes with the extra "local".')
_missing("serve", 'Answer as AWS on one loopback port; comes with the extra "local".')
