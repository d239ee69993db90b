"""What models cost at synth: packed for the first time, and unchanged.

Each row is a program of its own, as ``cdk synth`` runs it: the CDK's Node.js and all imports are part of what it takes.
Processor time and memory are those of its Python process.

Usage: ``python -m benchmarks.packing [--gigabytes 5] [--against CHECKOUT]`` (Linux)
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tabulate import tabulate

from multi_model_endpoint.artifacts import archive

MB = 10**6
STORED = 10
SMALL_FILES, SMALL_BYTES = 10_000, 2_000
SAMPLE_MB = 50
REPEATS = 3
"""Of an unchanged synth, the fastest of which counts: whatever else the machine does can only slow it down."""

SYNTH = """
import json, resource, sys, time
started = time.perf_counter()
import aws_cdk as cdk
from cdk_multi_model_endpoint import ModelStore
imported = time.perf_counter()
app = cdk.App(outdir=sys.argv[1])
store = ModelStore(cdk.Stack(app, "Stack"), "Models")
for folder in sys.argv[2:]:
    store.add_models(folder)
app.synth()
ended = time.perf_counter()
used = resource.getrusage(resource.RUSAGE_SELF)
times = {"seconds": ended - started, "without imports": ended - imported, "CPU s": used.ru_utime + used.ru_stime}
print(json.dumps(times | {"peak MB": used.ru_maxrss / 1024}))
"""


def rows(gigabytes: float = 1.0, against: Path | None = None) -> list[dict[str, Any]]:
    """Measure.

    Args:
        gigabytes: The size of the store, and that of the single large file; one of its models is measured alone first.
        against: Another checkout whose code is measured, too.

    Returns:
        A row for each case.
    """
    checkouts = {"this": Path(__file__).parents[1]} | ({} if against is None else {"other": against})
    with tempfile.TemporaryDirectory(prefix="mme-bench-") as folder:
        found: list[dict[str, Any]] = []
        for what, models, size in _cases(Path(folder), int(gigabytes * 1000)):
            time.sleep(archive.CLOCK_TICK_NS / 10**9)  # files that were written just now are not remembered
            for who, checkout in checkouts.items():
                with tempfile.TemporaryDirectory(dir=folder) as scratch:
                    for turn, times in (("first", 1), ("unchanged", REPEATS)):
                        runs = [_synth(checkout, Path(scratch), models) for _ in range(times)]
                        taken = min(runs, key=lambda run: run["seconds"])
                        rate = {"MB/s": size / MB / taken["without imports"]} if turn == "first" and size else {}
                        found.append({"what": what, "code": who, "synth": turn, "MB": size / MB, **taken, **rate})
            for model in models:
                shutil.rmtree(model)
        found.append(_tarfile(Path(folder)))
    return found


def _cases(folder: Path, megabytes: int) -> Iterator[tuple[str, list[Path], int]]:
    yield "an empty store", [], 0
    yield "one model", *_models(folder / "one", 1, megabytes // STORED)
    yield f"{STORED} models", *_models(folder / "many", STORED, megabytes // STORED)
    yield "one large file", *_models(folder / "large", 1, megabytes)
    small = folder / "small" / "model"
    small.mkdir(parents=True)
    for number in range(SMALL_FILES):
        (small / f"part-{number}").write_bytes(_weights(SMALL_BYTES))
    yield f"{SMALL_FILES:,} small files", [small.parent], SMALL_FILES * SMALL_BYTES


def _models(folder: Path, count: int, megabytes: int) -> tuple[list[Path], int]:
    for number in range(count):
        model = folder / f"model-{number}"
        model.mkdir(parents=True)
        with (model / "weights.bin").open("wb") as file:
            for _ in range(megabytes):
                file.write(_weights(MB))
    return [folder], count * megabytes * MB


def _weights(size: int) -> bytes:
    """Bytes that compress as float32 weights do: of four, one takes few values."""
    data = bytearray(os.urandom(size))
    data[3::4] = data[3::4].translate(bytes(60 + value % 8 for value in range(256)))
    return bytes(data)


def _synth(checkout: Path, scratch: Path, models: list[Path]) -> dict[str, float]:
    sources = os.pathsep.join(str(checkout / source) for source in ("constructs", "toolkit"))
    result = subprocess.run(  # noqa: S603, this program
        [sys.executable, "-c", SYNTH, str(scratch / "cdk.out"), *map(str, models)],
        env=os.environ | {"PYTHONPATH": sources, "XDG_CACHE_HOME": str(scratch / "cache")},
        check=True,
        stdout=subprocess.PIPE,
    )
    taken: dict[str, float] = json.loads(result.stdout)
    return taken


def _tarfile(folder: Path) -> dict[str, Any]:
    """What the standard library takes."""
    file = folder / "sample"
    file.write_bytes(_weights(SAMPLE_MB * MB))
    started = time.perf_counter()
    with tarfile.open(folder / "sample.tar.gz", "w:gz") as packed:
        packed.add(file, "sample")
    seconds = time.perf_counter() - started
    rate = {"seconds": seconds, "without imports": seconds, "MB/s": SAMPLE_MB / seconds}
    return {"what": "Python's tarfile", "code": "", "synth": "", "MB": float(SAMPLE_MB), **rate}


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    print(tabulate(rows(arguments.gigabytes, arguments.against), headers="keys", tablefmt="github", floatfmt=",.2f"))


if __name__ == "__main__":
    main()
