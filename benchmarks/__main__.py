"""All measurements in one run, as Markdown tables and as JSON.

Everything is measured beside what it is compared with, on one machine, so that only ratios and differences count.

Usage: ``python -m benchmarks [--keep] [SECTION …]`` (Linux). All sections together are also written beside this file,
and with ``--keep`` some, in place of what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Section, chapter, circumstances, merged, page
from benchmarks.sections import SECTIONS

FOLDER = Path(__file__).parent


def main(arguments: Sequence[str], sections: Sequence[Section] = SECTIONS, folder: Path = FOLDER) -> int:
    """Run the benchmark; the exit status is 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure all sections, or some.")
    names = {section.name for section in sections}
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(sorted(names)))
    parser.add_argument("--keep", action="store_true", help="put sections measured alone into the last results")
    parsed = parser.parse_args(arguments)
    chosen = parsed.sections
    if unknown := {*chosen} - names:
        parser.error(f"no section is called {', '.join(sorted(unknown))}: there are {', '.join(sorted(names))}")
    run = circumstances()
    measured = []
    for section in sections:
        if not chosen or section.name in chosen:
            measured.append(section.measure())
            print(chapter(measured[-1]), end="\n\n", flush=True)
    results = {"run": run, "sections": measured}
    if chosen and parsed.keep:
        last = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        results = merged(last, results, [section.name for section in sections])
    if parsed.keep or not chosen:
        (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        (folder / "RESULTS.md").write_text(page(results) + "\n", encoding="utf-8")
    return int(any("error" in section for section in measured))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
