"""Many models: in one stack, and published under one prefix. What each takes must not rise with their number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving import BUCKET, Local, serve

SYNTH = """
import json, sys
import aws_cdk as cdk
import psutil
from cdk_multi_model_endpoint import ModelStore

app = cdk.App(outdir=sys.argv[1])
ModelStore(cdk.Stack(app, "Stack"), "Models").add_models(sys.argv[2])
app.synth()
processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
times = [process.cpu_times() for process in processes]
print(json.dumps([sum(time.user + time.system for time in times), sum(p.memory_info().rss for p in processes)]))
"""


def rows(*, added: Sequence[int] = (75, 150, 300), published: Sequence[int] = (1_000, 10_000)) -> list[dict[str, Any]]:
    """A row for each number of models.

    Args:
        added: How many models ``add_models`` adds to a stack, which is synthesized.
        published: How many ``mme push`` publishes.
    """
    with tempfile.TemporaryDirectory(prefix="mme-bench-") as name:
        folder = Path(name)
        return [*_added(folder, added), *_published(folder, published)]


def _added(folder: Path, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    for number in numbers:
        models = _models(folder / f"added-{number}", number)
        command = [sys.executable, "-W", "ignore", "-c", SYNTH, str(folder / f"out-{number}"), str(models)]
        done = subprocess.run(command, env=_environment(folder), check=True, stdout=subprocess.PIPE)  # noqa: S603
        seconds, memory = json.loads(done.stdout)
        yield _row("add_models and synth", number, seconds, memory)


def _published(folder: Path, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    with serve(folder / "log.txt") as local:
        for number in numbers:
            models = _models(folder / f"published-{number}", number)
            for turn in ("first", "unchanged"):
                before = _cpu(local)
                command = ["mme", "push", "--each", str(models), f"s3://{BUCKET}/{number}/"]
                environment = {**_environment(folder), **local.running.environment}
                with (
                    open(os.devnull, "w") as nowhere,
                    subprocess.Popen(command, env=environment, stdout=nowhere, stderr=nowhere) as pushing,  # noqa: S603
                ):
                    _, status, used = os.wait4(pushing.pid, 0)
                    pushing.returncode = os.waitstatus_to_exitcode(status)
                if pushing.returncode:
                    raise subprocess.CalledProcessError(pushing.returncode, command)
                yield _row(f"mme push, {turn}", number, used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss)
                yield _row(
                    f"mme push, {turn}: mme serve", number, _cpu(local) - before, local.process.memory_info().rss
                )


def _models(folder: Path, number: int) -> Path:
    for each in range(number):
        model = folder / f"model-{each:05}"
        model.mkdir(parents=True)
        (model / "weights.bin").write_text(f"{folder.name} {each}", encoding="utf-8")
    return folder


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}


def _cpu(local: Local) -> float:
    times = local.process.cpu_times()
    return float(times.user + times.system)


def _row(what: str, number: int, seconds: float, memory: float) -> dict[str, Any]:
    return {
        "what": what,
        "models": number,
        "CPU s": seconds,
        "CPU ms a model": 1000 * seconds / number,
        "MB": memory / 1e6,
    }
