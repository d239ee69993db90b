"""The table of docs/compliance.md is what the stacks acknowledge."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from .conftest import STACKS, acknowledged_for_checkov, acknowledged_for_nag


def rows(assembly: Path, stack: str) -> list[str]:
    findings: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for each in acknowledged_for_nag(assembly, stack) | acknowledged_for_checkov(assembly, stack):
        # Without its pack in front, and without the name of what it found, which each stack has its own of
        finding = each.finding.rpartition("::")[2] if "[" not in each.finding else "AwsSolutions-IAM5"
        resource = re.sub(r"ModelPolicy[0-9a-f]{8}", "ModelPolicy…", each.resource)
        findings[resource, each.reason].add(f"`{finding}`")
    return sorted(
        f"| `{resource}` | {', '.join(sorted(found))} | {reason} |" for (resource, reason), found in findings.items()
    )


def test_table_is_what_both_stacks_acknowledge(assembly: Path, root: Path) -> None:
    lines = (root / "docs" / "compliance.md").read_text().splitlines()
    start = lines.index("| resource | findings | why it is right |") + 2
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    for stack in STACKS:
        assert lines[start:end] == rows(assembly, stack)
