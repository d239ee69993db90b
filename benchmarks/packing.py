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
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.report import table
from multi_model_endpoint.artifacts import archive

MB = 10**6
STORED = 10
SMALL_FILES, SMALL_BYTES = 10_000, 2_000
REPEATS = 3

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


def rows(
    gigabytes: float = 1.0, *, cases: int | None = None, repeats: int = REPEATS, against: Path | None = None
) -> list[dict[str, Any]]:
    """Measure.

    Args:
        gigabytes: The size of the store, and that of the single large file; one of its models is measured alone first.
        cases: How many cases are measured; all when left out.
        repeats: Unchanged synths, of which the fastest counts.
        against: Another checkout whose code is measured, too.

    Returns:
        A row for each case.
    """
    checkouts = {"this": Path(__file__).parents[1]} | ({} if against is None else {"other": against})
    with tempfile.TemporaryDirectory(prefix="mme-bench-") as folder:
        found: list[dict[str, Any]] = []
        for what, models, size in islice(_cases(Path(folder), int(gigabytes * 1000)), cases):
            time.sleep(archive.CLOCK_TICK_NS / 10**9)  # files that were written just now are not remembered
            for who, checkout in checkouts.items():
                with tempfile.TemporaryDirectory(dir=folder) as scratch:
                    for turn, times in (("first", 1), ("unchanged", repeats)):
                        runs = [_synth(checkout, Path(scratch), models) for _ in range(times)]
                        taken = min(runs, key=lambda run: run["seconds"])
                        rate = size / MB / taken["without imports"] if turn == "first" and size else None
                        found.append({"what": what, "code": who, "synth": turn, "MB": size / MB, **taken, "MB/s": rate})
            for model in models:
                shutil.rmtree(model)
        found.append(found[0] | _tarfile(Path(folder), int(gigabytes * 1000) // STORED))
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


def _tarfile(folder: Path, megabytes: int) -> dict[str, Any]:
    """What the standard library takes for one of the models, as far as it is known."""
    file = folder / "sample"
    file.write_bytes(_weights(megabytes * MB))
    started = time.perf_counter()
    with tarfile.open(folder / "sample.tar.gz", "w:gz") as packed:
        packed.add(file, "sample")
    seconds = time.perf_counter() - started
    known = {"what": "one model, Python's tarfile", "MB": float(megabytes), "MB/s": megabytes / seconds}
    return {
        "code": "-",
        "synth": "-",
        "CPU s": None,
        "peak MB": None,
        **known,
        "seconds": None,
        "without imports": seconds,
    }


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    print(table(rows(arguments.gigabytes, against=arguments.against)))


if __name__ == "__main__":
    main()
