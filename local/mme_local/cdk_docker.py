"""``mme-docker``: what the CDK runs for ``docker`` where ``CDK_DOCKER`` names it, as the line of ``mme serve`` does."""

from __future__ import annotations

import os
import sys

from mme_local.hosting.images import LOCAL_REGISTRY


def main() -> None:
    """Run ``docker`` with the same arguments, but do nothing for ``login`` and ``push`` to the local account.

    Docker has the image by then, and the local endpoint takes it from there.
    """
    arguments = sys.argv[1:]
    # where the CDK has credentials of its own for registries
    command = arguments[2:] if arguments[:1] == ["--config"] else arguments
    if command[:1] in (["login"], ["push"]) and command[-1].startswith(LOCAL_REGISTRY):
        if "--password-stdin" in command:
            sys.stdin.read()  # the CDK wants to get rid of it
        return
    try:
        os.execvp("docker", ["docker", *arguments])  # noqa: S606, S607 - the user's own
    except FileNotFoundError:
        sys.exit(
            "there is no docker command on the PATH: to deploy an image from a Dockerfile, also locally, install Docker"
        )
