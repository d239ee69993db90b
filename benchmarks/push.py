"""``mme push`` beside the AWS CLI, to the same local S3."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mme_local.testing import local_endpoint

AWS_CLI = "awscli==1.46.3"
ROUNDS = 3

_BUCKET = "benchmark"
_PACK_ALL = 'cd "$0" && for model in *; do tar -czf "$1/$model.tar.gz" -C "$model" . || exit; done'


def rows(
    *, kinds: Iterable[tuple[int, int]] = ((1, 400_000_000), (300, 50_000)), rounds: int = ROUNDS
) -> list[dict[str, Any]]:
    """Seconds to publish that many models of that many bytes."""
    aws = install_aws_cli()
    return [row for count, size in kinds for row in publish(aws, count, size, rounds)]


def publish(aws: str, count: int, size: int, rounds: int) -> list[dict[str, Any]]:
    """Publish models as folders and as archives, for the first time and once more."""
    with tempfile.TemporaryDirectory() as place:
        folders, archives = Path(place, "folders"), Path(place, "archives")
        archives.mkdir()
        for number in range(count):
            (folders / f"model-{number}").mkdir(parents=True)
            (folders / f"model-{number}" / "weights.bin").write_bytes(os.urandom(size))
        taken = [one_round(aws, str(folders), str(archives)) for _ in range(rounds)]
    # the best rounds: whatever else the machine does can only slow the others down
    best = {step: min(each[step] for each in taken) for step in taken[0]}
    models = f"{count} of {size / 1e6:g} MB"
    return [
        {"models": models, "given as": given, "when": when, "mme push, s": ours, "AWS CLI, s": theirs}
        for given, when, ours, theirs in (
            ("folders", "first", best["folders"], best["tar"] + best["cp"]),
            ("folders", "unchanged", best["folders again"], None),
            ("archives", "first", best["archives"], best["cp"]),
            ("archives", "unchanged", best["archives again"], best["sync"]),
        )
    ]


def one_round(aws: str, folders: str, archives: str) -> dict[str, float]:
    """How long each step takes with an empty S3, and nothing remembered of earlier rounds."""
    push = (str(Path(sys.executable).with_name("mme")), "push", "--each")
    steps = {
        "tar": ("sh", "-c", _PACK_ALL, folders, archives),
        "folders": (*push, folders, f"s3://{_BUCKET}/folders/"),
        "folders again": (*push, folders, f"s3://{_BUCKET}/folders/"),
        "archives": (*push, archives, f"s3://{_BUCKET}/archives/"),
        "archives again": (*push, archives, f"s3://{_BUCKET}/archives/"),
        "cp": (aws, "s3", "cp", "--only-show-errors", "--recursive", archives, f"s3://{_BUCKET}/cli/"),
        "sync": (aws, "s3", "sync", "--only-show-errors", archives, f"s3://{_BUCKET}/cli/"),
    }
    with tempfile.TemporaryDirectory() as cache, local_endpoint("--no-servers") as local:
        local.client("s3").create_bucket(Bucket=_BUCKET)
        environment = {**os.environ, **local.environment, "XDG_CACHE_HOME": cache}
        taken = {}
        for step, command in steps.items():
            started = time.perf_counter()
            subprocess.run(command, env=environment, check=True, capture_output=True)  # noqa: S603
            taken[step] = time.perf_counter() - started
    return taken


def install_aws_cli() -> str:
    """The program of the AWS CLI, in an environment of its own: it wants another botocore than ours."""
    options = ("--quiet", "--python", sys.executable, "--from", AWS_CLI)
    find = ("python", "-c", "import shutil; print(shutil.which('aws'), end='')")
    command = (sys.executable, "-m", "uv", "tool", "run", *options, *find)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603
