"""Write docs/rules.md, the catalogue of rules, from their table and from what the library says of their examples."""

from __future__ import annotations

import contextlib
import tempfile
import textwrap
import tomllib
from pathlib import Path
from typing import Any

from multi_model_endpoint.artifacts.findings import Advice, Problem
from scripts.rules import of_endpoints, of_models
from scripts.rules.scene import findings

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "rules.md"
TABLE: dict[str, dict[str, dict[str, Any]]] = tomllib.loads((ROOT / "scripts" / "rules" / "table.toml").read_text())
EXAMPLES = {**of_endpoints.EXAMPLES, **of_models.EXAMPLES}

_WIDTH = 130
_SAGEMAKER = "https://docs.aws.amazon.com/sagemaker/latest/"
_INTRODUCTION = """\
# Rules

What SageMaker would refuse minutes into a deployment, or at the first call of a model, is an error at synth, all of a
construct at once; `mme push` refuses the same models. What AWS advises against, or says nothing of, is a warning. Each
message ends with the id of its rule, and each rule has its section here.

`InvalidEndpointError` and `InvalidModelError` have all their messages in `problems`, each a string with its `rule`.
A warning is acknowledged on the construct that it is about, or on one above it, and is then silent:

```
Annotations.of(endpoint).acknowledge_warning("cdk-multi-model-endpoint:singleInstance")
```

Ids are stable. This page is made by `python -m scripts.write_rules`; its messages are what the library says."""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page's text."""
    said = {rule: example(rule) for rules in TABLE.values() for rule in rules}
    overview = ["| rule | | what it is about |", "| --- | --- | --- |"]
    sections = []
    for topic, rules in TABLE.items():
        sections.append(f"## {topic}")
        for rule, entry in rules.items():
            overview.append(f"| [{rule}](#{rule.lower()}) | {_level(said[rule])} | {entry['about']} |")
            sections += _section(rule, entry, said[rule])
    return "\n\n".join([_INTRODUCTION, "## All rules", "\n".join(overview), *sections]) + "\n"


def example(rule: str) -> Problem | Advice:
    """What the library says of a rule's example, which is played in an empty folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return next(found for found in findings(EXAMPLES[rule]) if found.rule == rule)


def _section(rule: str, entry: dict[str, Any], said: Problem | Advice) -> list[str]:
    acknowledged = isinstance(said, Advice) and not rule.startswith("mlflow")  # those only mme push prints
    message = f"{said.message} [ack: cdk-multi-model-endpoint:{rule}]" if acknowledged else str(said)
    parts = [
        f"### {rule}",
        _wrapped(f"**{_level(said).capitalize()}.** {entry['about']}:"),
        f"```\n{message}\n```",
        _wrapped(f"**Why.** {entry['why']}"),
        _wrapped(f"**Way out.** {entry['way_out']}"),
    ]
    if acknowledged:
        parts.append(f'**Acknowledge.** `acknowledge_warning("cdk-multi-model-endpoint:{rule}")`')
    if pages := entry.get("pages"):
        parts.append(_wrapped(f"**Read.** {', '.join(map(_link, pages))}"))
    return parts


def _level(said: Problem | Advice) -> str:
    return "error" if isinstance(said, Problem) else "warning"


def _link(name: str) -> str:
    """A link to a page, SageMaker's where it is not a whole URL."""
    if name.startswith("API_"):
        return f"[{name.removeprefix('API_')}]({_SAGEMAKER}APIReference/{name}.html)"
    if name.startswith("dg/"):
        return f"[{name.removeprefix('dg/')}]({_SAGEMAKER}{name}.html)"
    return f"[{name.rpartition('/')[2].removesuffix('.html')}]({name})"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
